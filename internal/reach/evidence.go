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
	maxOfNetwork    = 8  // of them, those of one network (/16, /32)
	maxOrigins      = 1024
)

// Evidence remembers who complained of which candidate. Bounded; safe for concurrent use.
type Evidence struct {
	mu      sync.Mutex
	origins map[string]*complaints
}

type complaints struct{ list []complaint }

type complaint struct {
	addr   netip.Addr // as [one] says
	digest oci.Digest
	time   uint32
	whole  bool // a network of machines by itself
	stuck  bool // it is sent to the nearest since nothing helped
}

// Finding is a candidate that many addresses do not get through to.
type Finding struct {
	// Origin names the candidate.
	Origin string
	// Addresses that do not get through to it; of IPv6, the first of each /64.
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
	c := complaint{addr: one(r.Addr), digest: clone(r.Digest), time: t.unix(), whole: ev == Blocked, stuck: ev == Stuck}
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
	of.add(&c, ev == Complained)
}

// add remembers a complaint. begins says that its address was not known to complain.
func (of *complaints) add(c *complaint, begins bool) {
	// An address speaks once: for the last thing that became of it.
	for i := range of.list {
		if was := &of.list[i]; was.addr == c.addr {
			c.whole = c.whole || was.whole && !begins
			*was = *c
			return
		}
	}
	if i, full := of.victim(c); full {
		of.list[i] = *c
		return
	}
	of.list = append(of.list, *c)
}

// victim is the complaint that makes room for c, when something must: one that is over, else the oldest of its own
// network when that has its share, else of the largest network. So no network can push out what others say. What an
// address says of many machines goes last.
func (of *complaints) victim(c *complaint) (at int, full bool) {
	sizes := map[netip.Prefix]int{}
	for i := range of.list {
		if outdated(of.list[i].time, c.time) {
			return i, true
		}
		sizes[wide(of.list[i].addr)]++
	}
	mine := wide(c.addr)
	if sizes[mine] < maxOfNetwork && len(of.list) < maxComplaints {
		return 0, false
	}
	largest := 0
	for _, n := range sizes {
		largest = max(largest, n)
	}
	at = -1
	for i := range of.list {
		is := &of.list[i]
		fits := wide(is.addr) == mine
		if sizes[mine] < maxOfNetwork {
			fits = sizes[wide(is.addr)] == largest
		}
		if fits && (at < 0 || before(is, &of.list[at])) {
			at = i
		}
	}
	return at, true
}

// outdated reports whether a time is so long ago that it no longer counts. A clock may be set back.
func outdated(then, now uint32) bool { return int32(now-then) > Window }

// before reports whether a is forgotten before b.
func before(a, b *complaint) bool {
	if a.whole != b.whole {
		return b.whole
	}
	return a.time < b.time
}

// Findings are the candidates that at least five addresses of three networks (/16, /32) do not get through to, or the
// machines behind one that get on elsewhere. Addresses that the table serves by their nearest again have withdrawn their
// complaint, unless nothing else helped them either: that counts as one address, since whoever asks for the same again
// and again can say so alone.
func (e *Evidence) Findings(t *Table) []Finding {
	now := t.unix()
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []Finding
	for origin, of := range e.origins {
		f := Finding{Origin: origin}
		networks := map[netip.Prefix]bool{}
		enough := false
		for _, c := range of.list {
			if outdated(c.time, now) || !c.whole && !c.stuck && t.Level(&Request{Addr: c.addr, Origin: origin}) == Nearest {
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

// one is what counts as one address: of IPv6 a /64, which every client has whole.
func one(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if a.Is4() {
		return a
	}
	p, _ := a.WithZone("").Prefix(64) // the length is valid
	return p.Addr()
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
