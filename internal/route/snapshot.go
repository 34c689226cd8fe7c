package route

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"ociproxy/internal/oci"
	"ociproxy/internal/place"
	"ociproxy/internal/set"
)

// Options are the inputs of a [Snapshot].
type Options struct {
	// Map is the map of the world; required.
	Map *place.Map
	// Location is where this instance runs; clients of unknown place get its coordinates. Zero: none.
	Location place.Place
	// CostWeight is how many milliseconds one US cent per GiB is worth.
	CostWeight float64
	// Sent is how many bytes are sent in a month. It selects the tier of the price lists.
	Sent float64
	// Matrix holds measured round trips in ms by (client place, candidate place); nil: the estimate.
	Matrix Matrix
	// Candidates are all stores and upstreams; exactly one upstream is canonical.
	Candidates []Candidate
	// Pins send some clients to named candidates only. The first pin that matches wins.
	Pins []Pin
	// Confines says that [Snapshot.Confine] will be called.
	Confines bool
	// DenyDigests and DenyRepositories are never answered.
	DenyDigests      []oci.Digest
	DenyRepositories []string
}

// Matrix holds round trips in milliseconds.
type Matrix map[[2]place.Place]float64

// Between returns the round trip between two places, in either direction.
func (m Matrix) Between(a, b place.Place) (ms float64, ok bool) {
	if len(m) == 0 {
		return 0, false
	}
	if ms, ok = m[[2]place.Place{a, b}]; ok {
		return ms, true
	}
	ms, ok = m[[2]place.Place{b, a}]
	return ms, ok
}

// Pin sends the clients of a prefix or of a cloud to named candidates only.
type Pin struct {
	// CIDR is the prefix; invalid when Cloud is set.
	CIDR netip.Prefix
	// Cloud is the clients' cloud, "" when CIDR is set.
	Cloud string
	// To names the candidates.
	To []string
}

func (p *Pin) matches(c *Client) bool {
	if p.Cloud != "" {
		return p.Cloud == c.Place.Cloud
	}
	return p.CIDR.Contains(c.Addr)
}

// Client is the sender of a request, as far as routing is concerned.
type Client struct {
	// Addr is the client's address, unmapped.
	Addr netip.Addr
	// Place is the cloud and region; zero when unknown, region empty when only the cloud is known.
	Place place.Place
	// Spot is the client's location when the region is unknown but GeoIP has an answer.
	Spot place.Spot
	// HasSpot says that Spot is set.
	HasSpot bool
	// Ranking, when set, is the result of [Snapshot.Ranking] for this client, so that a request looks it up only
	// once.
	Ranking *Ranking
	// Confined, when set, has the candidates that may serve the client, whatever the pins say.
	Confined *Confinement
}

// Confinement is a list of candidates that serve some clients exclusively.
type Confinement struct{ to, upstreams set.Set }

// Confine compiles a list of candidates' names. The snapshot's options must set [Options.Confines].
func (s *Snapshot) Confine(names []string) (*Confinement, error) {
	c := &Confinement{}
	for _, name := range names {
		i := slices.IndexFunc(s.Candidates, func(c Candidate) bool { return c.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("%q, which is no store or upstream", name)
		}
		c.to.Add(i)
	}
	c.upstreams = c.to
	c.upstreams.And(&s.upstreams)
	return c, nil
}

// of returns those of the candidates that may answer. A list that names only stores does not restrict requests that
// stores cannot answer.
func (c *Confinement) of(blob bool) (set.Set, bool) {
	if blob {
		return c.to, true
	}
	return c.upstreams, !c.upstreams.Empty()
}

// Snapshot is everything a decision needs. It is immutable except for a bounded cache of rankings, and safe for
// concurrent use.
type Snapshot struct {
	// Candidates are in the order of Options; a [set.Set] holds indices into them.
	Candidates []Candidate
	// Canonical is the index of the canonical upstream.
	Canonical int

	opt        Options
	spots      []place.Spot // of each candidate
	hasSpot    []bool
	home       place.Spot // of Options.Location
	hasHome    bool
	named      map[string]bool // clouds that an active store serves or an upstream lives in
	active     set.Set
	upstreams  set.Set
	rolling    set.Set // rollout below 100 %
	v4, v6     set.Set
	pins       []compiledPin
	confines   bool // pins or names confine some clients
	denyDigest map[oci.Digest]struct{}
	denyRepo   map[string]struct{}

	rankings map[place.Place]*Ranking
	cells    cellCache
}

type compiledPin struct {
	Pin
	*Confinement
}

// New compiles a snapshot: it validates what routing relies on and ranks the candidates for every place.
func New(opt Options) (*Snapshot, error) {
	s := &Snapshot{
		Candidates: slices.Clone(opt.Candidates),
		Canonical:  -1,
		opt:        opt,
		named:      map[string]bool{},
		denyDigest: map[oci.Digest]struct{}{},
		denyRepo:   map[string]struct{}{},
	}
	if opt.Map == nil {
		return nil, errors.New("route: no map")
	}
	if n := len(s.Candidates); n > set.Max {
		return nil, fmt.Errorf("route: %d stores and upstreams, at most %d", n, set.Max)
	}
	if err := s.compileCandidates(); err != nil {
		return nil, err
	}
	if err := s.compilePins(); err != nil {
		return nil, err
	}
	for _, d := range opt.DenyDigests {
		s.denyDigest[d] = struct{}{}
	}
	for _, r := range opt.DenyRepositories {
		s.denyRepo[r] = struct{}{}
	}
	if site, ok := opt.Map.Find(opt.Location); ok {
		s.home, s.hasHome = site.Spot, true
	}
	s.rankPlaces()
	return s, nil
}

func (s *Snapshot) compileCandidates() error {
	names := map[string]bool{}
	s.spots = make([]place.Spot, len(s.Candidates))
	s.hasSpot = make([]bool, len(s.Candidates))
	for i := range s.Candidates {
		c := &s.Candidates[i]
		if err := c.compile(); err != nil {
			return err
		}
		if names[c.Name] {
			return fmt.Errorf("route: two candidates are called %q", c.Name)
		}
		names[c.Name] = true
		if c.Canonical {
			if s.Canonical >= 0 {
				return fmt.Errorf("route: %s and %s are both canonical", s.Candidates[s.Canonical].Name, c.Name)
			}
			s.Canonical = i
		}
		if site, ok := s.opt.Map.Find(c.Place); ok {
			c.Place = site.Place // an alias becomes the place's own name
			s.spots[i], s.hasSpot[i] = site.Spot, true
		} else if c.CDN == "" {
			return fmt.Errorf("route: %s: place %q is not on the map", c.Name, c.Place)
		}
		s.classify(i)
	}
	if s.Canonical < 0 || s.Candidates[s.Canonical].Kind != Upstream {
		return errors.New("route: no upstream is canonical")
	}
	return nil
}

func (s *Snapshot) classify(i int) {
	c := &s.Candidates[i]
	if c.Kind == Upstream {
		s.upstreams.Add(i)
		s.named[c.Place.Cloud] = true
	}
	if c.Active {
		s.active.Add(i)
		for _, cloud := range c.Serves.Clouds {
			s.named[cloud] = true
		}
	}
	if c.Rollout < 100 {
		s.rolling.Add(i)
	}
	if c.IPv4 {
		s.v4.Add(i)
	}
	if c.IPv6 {
		s.v6.Add(i)
	}
}

func (s *Snapshot) compilePins() error {
	s.confines = s.opt.Confines || len(s.opt.Pins) > 0
	for _, p := range s.opt.Pins {
		cp := compiledPin{Pin: p}
		var err error
		if cp.Confinement, err = s.Confine(p.To); err != nil {
			return fmt.Errorf("route: a pin names %w", err)
		}
		s.pins = append(s.pins, cp)
	}
	return nil
}

// Serves reports whether candidate i may serve clients of cloud ("" for unknown).
func (s *Snapshot) Serves(i int, cloud string) bool {
	r := &s.Candidates[i].Serves
	switch {
	case r.All:
		return true
	case slices.Contains(r.Clouds, cloud):
		return true
	default:
		return r.Internet && !s.Served(cloud)
	}
}

// Served reports whether an active store names cloud or an upstream lives in it. Clients of other clouds belong to
// the stores that serve `internet`.
func (s *Snapshot) Served(cloud string) bool { return cloud != "" && s.named[cloud] }

// Upstreams returns the set of all upstreams.
func (s *Snapshot) Upstreams() set.Set { return s.upstreams }

// All returns the set of all candidates.
func (s *Snapshot) All() set.Set { return set.Full(len(s.Candidates)) }

// pinned returns the candidates that c is confined to.
func (s *Snapshot) pinned(c *Client, blob bool) (set.Set, bool) {
	if c.Confined != nil {
		return c.Confined.of(blob)
	}
	for i := range s.pins {
		if s.pins[i].matches(c) {
			return s.pins[i].of(blob)
		}
	}
	return set.Set{}, false
}

// Denied reports whether the configuration forbids req.
func (s *Snapshot) Denied(req *oci.Request) bool {
	if len(s.denyRepo) > 0 {
		if _, ok := s.denyRepo[req.Name]; ok {
			return true
		}
	}
	if len(s.denyDigest) > 0 && !req.Digest.IsZero() {
		if _, ok := s.denyDigest[req.Digest]; ok {
			return true
		}
	}
	return false
}
