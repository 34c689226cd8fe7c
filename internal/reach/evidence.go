package reach

import (
	"net/netip"
	"slices"
	"strings"
	"sync"

	"ociproxy/internal/oci"
)

// An attacker could complain of a store to have it ejected. So complaints never change where other clients are sent.
// Many complaints from unrelated addresses only make the proxy look closer.
const (
	enoughAddresses = 5
	enoughNetworks  = 3
	maxComplaints   = 64 // remembered complaints about one candidate
	maxOfNetwork    = 8  // of these, complaints of one network (/16, /32)
	maxOrigins      = 1024
)

// Evidence remembers which addresses complained of which candidate. Bounded; safe for concurrent use.
type Evidence struct {
	mu      sync.Mutex
	origins map[string]*complaints
}

type complaints struct{ list []complaint }

type complaint struct {
	addr   netip.Addr // as returned by [one]
	digest oci.Digest
	time   uint32
	whole  bool // several machines behind one address
	stuck  bool // it is sent to the nearest, because nothing helped
}

// Finding is a candidate that many addresses cannot download from.
type Finding struct {
	// Origin names the candidate.
	Origin string
	// Addresses cannot download from it; of IPv6, the first address of each /64.
	Addresses []netip.Addr
	// Digests are the blobs that they asked for again.
	Digests []oci.Digest
}

// NewEvidence returns an Evidence without complaints.
func NewEvidence() *Evidence { return &Evidence{origins: map[string]*complaints{}} }

// Note remembers what a request revealed about its address.
func (e *Evidence) Note(t *Table, r *Request, ev Event) {
	if ev != Complained && ev != Proven && ev != Blocked && ev != Stuck {
		return
	}
	c := complaint{addr: one(r.Addr), digest: clone(r.Digest), time: t.unix(), whole: ev == Blocked, stuck: ev == Stuck}
	e.mu.Lock()
	defer e.mu.Unlock()
	of := e.origins[r.Origin]
	if of == nil {
		if len(e.origins) >= maxOrigins { // reloads may bring new stores all the time
			return
		}
		of = &complaints{}
		e.origins[r.Origin] = of
	}
	of.add(&c, ev == Complained)
}

// add remembers a complaint. begins says that its address had not complained before.
func (of *complaints) add(c *complaint, begins bool) {
	// Only the last event of an address counts.
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

// victim returns the complaint that makes room for c, if there is no room. It is one that has expired, else the oldest
// of c's own network if that network has its share, else the oldest of the largest network. So no network can push out
// the complaints of others. A complaint that one address makes for many machines goes last.
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

// outdated reports whether a time is too long ago to count. A clock may be set back.
func outdated(then, now uint32) bool { return int32(now-then) > Window }

// before reports whether a is forgotten before b.
func before(a, b *complaint) bool {
	if a.whole != b.whole {
		return b.whole
	}
	return a.time < b.time
}

// Findings returns the candidates that at least five addresses of three networks (/16, /32) cannot download from, or
// that the machines behind one address cannot download from although they succeed elsewhere. When the table serves an
// address from its nearest again, the address has withdrawn its complaint, unless nothing else helped it either. Such
// addresses count as one, since a client that repeats the same request can cause this alone.
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
	d, _ = oci.ParseDigest(strings.Clone(d.String())) // it was a valid digest before
	return d
}

// one returns the network that counts as one address: of IPv6 a /64, which every client owns completely.
func one(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if a.Is4() {
		return a
	}
	p, _ := a.WithZone("").Prefix(64) // the length is valid
	return p.Addr()
}

// wide returns the network that one operator is likely to own: /16 or /32.
func wide(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is4() {
		bits = 16
	}
	p, _ := a.Prefix(bits) // both lengths are valid
	return p
}
