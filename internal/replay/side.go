package replay

import (
	"net/netip"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/oci"
	"ociproxy/internal/place"
	"ociproxy/internal/ranges"
	"ociproxy/internal/route"
	"ociproxy/internal/snapshot"
)

// Locator finds the place of an address. [ranges.Ranges] is one.
type Locator interface {
	Locate(netip.Addr) ranges.Client
}

// Side is one of the two configs, ready to decide. It is safe for concurrent use.
type Side struct {
	cfg   *config.Config
	snap  *route.Snapshot
	names snapshot.Names
	where Locator
	state route.State
}

// NewSide compiles a config as it works at a time: announced dates count. The error says why the config cannot be used
// for routing here.
func NewSide(cfg *config.Config, at time.Time, where Locator) (*Side, error) {
	s := &Side{cfg: cfg.At(at), where: where}
	var err error
	if s.snap, err = snapshot.Of(s.cfg); err != nil {
		return nil, err
	}
	if s.names, err = snapshot.NamesOf(s.cfg, s.snap); err != nil {
		return nil, err
	}
	all := s.snap.All()
	s.state = route.State{Usable: all, Holds: all, Final: true}
	return s, nil
}

// question is one recorded request.
type question struct {
	oci.Request
	addr netip.Addr
	host string
	// at is the client's place as the log says it, when the log has no whole address. Then it knows more than addr.
	at place.Place
}

// answer is what one config says.
type answer struct {
	at        place.Place
	candidate int // [route.NoCandidate]: denied
	cents     float64
	rtt       float64
	choices   int
}

// locate returns what this side knows about the client's address. Without an address it is nothing.
func (s *Side) locate(q *question) ranges.Client {
	if !q.addr.IsValid() {
		return ranges.Client{}
	}
	return s.where.Locate(q.addr)
}

// logged makes at the place that the log says. It takes it from the map, so that a log cannot invent places.
func (s *Side) logged(q *question) ranges.Client {
	return ranges.Client{Place: s.snap.Ranking(&route.Client{Place: q.at}).Place}
}

// both answers q under two configs. A feed may list several places in one network. So the place in the log counts when
// the log has only the client's network, unless the two configs locate this network differently.
func both(old, next *Side, q *question) (was, is answer, exact bool) {
	before, after := old.locate(q), next.locate(q)
	exact = q.at.IsZero() || q.at == after.Place
	if !q.at.IsZero() {
		if after.Place == before.Place {
			after = next.logged(q)
		}
		before = old.logged(q)
	}
	return old.answer(q, before), next.answer(q, after), exact
}

func (s *Side) answer(q *question, at ranges.Client) answer {
	c := route.Client{Addr: q.addr, Place: at.Place, Spot: at.Spot, HasSpot: at.HasSpot}
	if !q.addr.IsValid() {
		c.Addr = standIn(q)
	}
	c.Ranking = s.snap.Ranking(&c)
	c.Confined = s.names.Of(q.host)
	d := route.Decide(&q.Request, &c, s.snap, &s.state)
	a := answer{at: c.Place, candidate: d.Candidate, cents: d.Cents, choices: route.Choices(&q.Request, &c, s.snap, &s.state)}
	if d.Candidate != route.NoCandidate {
		a.rtt = s.snap.Seen(&c, d.Candidate).RTT
	}
	return a
}

// standIn is an address for a client of which only the place is known, so that rollouts take their share of such
// clients. It is in 240.0.0.0/4, which no client has and no pin names. The same blob gives the same address.
func standIn(q *question) netip.Addr {
	h := uint32(2166136261) // FNV-1a
	for _, text := range [...]string{q.Name, q.Digest.String(), q.Tag} {
		for i := range len(text) {
			h = (h ^ uint32(text[i])) * 16777619
		}
	}
	h ^= h >> 16
	return netip.AddrFrom4([4]byte{240 | byte(h)&15, byte(h >> 8), byte(h >> 16), 1})
}
