package reach

import (
	"net/netip"
	"slices"
	"strings"
	"sync"

	"ociproxy/internal/oci"
)

// Strangers could complain of a store to have it ejected, so complaints never change where others are sent. Enough of
// them, from addresses that have little to do with each other, only make the proxy look closer.
const (
	enoughAddresses = 5
	enoughNetworks  = 3
	maxComplaints   = 64 // remembered of one candidate
	maxOrigins      = 1024
)

// Evidence remembers who complained of which candidate. Bounded; safe for concurrent use.
type Evidence struct {
	mu      sync.Mutex
	origins map[string]*complaints
}

type complaints struct {
	ring []complaint
	at   int
}

type complaint struct {
	addr   netip.Addr
	digest oci.Digest
	time   uint32
	whole  bool // a network of machines by itself
}

// Finding is a candidate that many addresses do not get through to.
type Finding struct {
	// Origin names the candidate.
	Origin string
	// Addresses that do not get through to it.
	Addresses []netip.Addr
	// Digests that they asked for again.
	Digests []oci.Digest
}

// NewEvidence returns one without complaints.
func NewEvidence() *Evidence { return &Evidence{origins: map[string]*complaints{}} }

// Note remembers what a request made of its address.
func (e *Evidence) Note(t *Table, r *Request, ev Event) {
	if ev != Complained && ev != Proven && ev != Blocked && ev != Stuck {
		return
	}
	c := complaint{addr: r.Addr, digest: clone(r.Digest), time: t.unix(), whole: ev == Blocked || ev == Stuck}
	e.mu.Lock()
	defer e.mu.Unlock()
	of := e.origins[r.Origin]
	if of == nil {
		if len(e.origins) >= maxOrigins { // reloads with ever new stores
			return
		}
		of = &complaints{}
		e.origins[r.Origin] = of
	}
	// An address speaks once: for the last thing that became of it.
	for i := range of.ring {
		if of.ring[i].addr == c.addr {
			c.whole = c.whole || of.ring[i].whole && ev != Complained
			of.ring[i] = c
			return
		}
	}
	if len(of.ring) < maxComplaints {
		of.ring = append(of.ring, c)
		return
	}
	of.ring[of.at] = c
	of.at = (of.at + 1) % maxComplaints
}

// Findings are the candidates that at least five addresses of three networks (/16, /32) do not get through to, or the
// machines behind one. Addresses that the table serves by their nearest again have withdrawn their complaint.
func (e *Evidence) Findings(t *Table) []Finding {
	now := t.unix()
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []Finding
	for origin, of := range e.origins {
		f := Finding{Origin: origin}
		networks := map[netip.Prefix]bool{}
		enough := false
		for _, c := range of.ring {
			recent := now-c.time <= Window
			if !recent || !c.whole && t.Level(&Request{Addr: c.addr, Origin: origin}) == Nearest {
				continue
			}
			enough = enough || c.whole
			f.Addresses = append(f.Addresses, c.addr)
			networks[wide(c.addr)] = true
			if !slices.Contains(f.Digests, c.digest) {
				f.Digests = append(f.Digests, c.digest)
			}
		}
		if enough || len(f.Addresses) >= enoughAddresses && len(networks) >= enoughNetworks {
			out = append(out, f)
		}
	}
	return out
}

// clone copies a digest out of the buffer of its request.
func clone(d oci.Digest) oci.Digest {
	d, _ = oci.ParseDigest(strings.Clone(d.String())) // it was one before
	return d
}

// wide is the network that one operator is likely to have: /16 or /32.
func wide(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is4() {
		bits = 16
	}
	p, _ := a.Prefix(bits) // both lengths are valid
	return p
}
