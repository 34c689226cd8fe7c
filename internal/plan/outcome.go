package plan

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"ociproxy/internal/oci"
	"ociproxy/internal/place"
	"ociproxy/internal/route"
	"ociproxy/internal/set"
	"ociproxy/internal/snapshot"
)

// Money is what a set costs in a month, in USD. Only add fields; never remove one.
type Money struct {
	Egress   float64 `json:"egressUSD"`   // bytes to clients
	Requests float64 `json:"requestsUSD"` // of clients
	Storage  float64 `json:"storageUSD"`  // of all stores, with the growth of the time that the plan is for
	Growth   float64 `json:"growthUSD"`   // to copy what is added in a month
	Filling  float64 `json:"fillingUSD"`  // the month's part of the filling of new stores
}

// Total is the sum.
func (m *Money) Total() float64 { return m.Egress + m.Requests + m.Storage + m.Growth + m.Filling }

// Running is the sum without filling, which ends.
func (m *Money) Running() float64 { return m.Total() - m.Filling }

// Outcome is what a set of stores gives.
type Outcome struct {
	Open []int // without the fixed candidates
	Money
	Fill float64 // USD once, to fill the new stores
	MS   float64 // GB × ms
	Mean float64 // ms, weighted by bytes
	P95  float64 // 95 of 100 bytes have at most this round trip
	// Low and High bound the total when it is not known at which step of its price the volume is.
	Low, High float64
	// by has for each client of the world the candidate that serves it, usd what that costs.
	by  []int
	usd []float64
	// stored has what the bytes in each open store cost, by candidate.
	stored map[int]float64
}

// Worth is the objective: money and round trips in one figure. It is the money when only that counts.
func (o *Outcome) worth(w *World) float64 {
	if math.IsInf(w.perMS, 1) {
		return o.MS
	}
	return o.Total() + w.perMS*o.MS
}

// Of returns the outcome of a set, by the options of the problem.
func (w *World) Of(open []int) (*Outcome, error) {
	whole := w.whole(open)
	is := make([]bool, len(w.Candidates))
	for _, i := range whole {
		is[i] = true
	}
	by := make([]int, len(w.clients))
	for k := range w.clients {
		o := w.problem.Clients[k].Serve(func(i int) bool { return is[i] })
		if o == nil {
			return nil, fmt.Errorf("no candidate serves the clients at %s", w.clients[k].Name())
		}
		by[k] = o.Site
	}
	return w.outcome(open, by), nil
}

// outcome prices who serves whom.
func (w *World) outcome(open, by []int) *Outcome {
	o := &Outcome{Open: slices.Sorted(slices.Values(w.free(open))), by: by}
	w.tariff.bill(o)
	o.measure(w)
	return o
}

// measure sums up the round trips.
func (o *Outcome) measure(w *World) {
	type part struct{ rtt, bytes float64 }
	var parts []part
	bytes := 0.0
	for k, i := range o.by {
		c := &w.clients[k]
		parts = append(parts, part{c.rtt[i], c.Bytes})
		o.MS += c.Bytes / gigabyte * c.rtt[i]
		bytes += c.Bytes
	}
	if bytes == 0 {
		return
	}
	o.Mean = o.MS / (bytes / gigabyte)
	slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(a.rtt, b.rtt) })
	left := 0.95 * bytes
	for _, p := range parts {
		o.P95 = p.rtt
		if left -= p.bytes; left <= 0 {
			break
		}
	}
}

// Replay returns the outcome of a set as the server's own router decides: the config of the set becomes a snapshot, and
// one request of each client is decided.
func (w *World) Replay(open []int) (*Outcome, error) {
	r, err := w.router(open, nil)
	if err != nil {
		return nil, err
	}
	by := make([]int, len(w.clients))
	for k := range w.clients {
		if by[k], err = r.decide(k); err != nil {
			return nil, err
		}
	}
	return w.outcome(open, by), nil
}

// router decides as the server does with the config of a set.
type router struct {
	w     *World
	snap  *route.Snapshot
	index []int // the candidate of the world for each of the snapshot
	all   set.Set
	full  set.Set // those that hold everything
}

// router makes the router of a set. The rollouts of the stores in kept are 0 %, all others are 100 %.
func (w *World) router(open []int, kept map[string]bool) (*router, error) {
	cfg := w.config(w.whole(open), factor(w.opt.Prices))
	for i := range cfg.Stores {
		if kept[cfg.Stores[i].Name] {
			cfg.Stores[i].Rollout = 0
		}
	}
	snap, err := snapshot.With(cfg, w.opt.Matrix, func(*route.Candidate) {})
	if err != nil {
		return nil, err
	}
	r := &router{w: w, snap: snap, index: make([]int, len(snap.Candidates)), all: snap.All(), full: snap.All()}
	for k := range snap.Candidates {
		i := slices.IndexFunc(w.Candidates, func(c Candidate) bool { return c.Name == snap.Candidates[k].Name })
		r.index[k] = i
		if w.opt.Hot && !w.Candidates[i].Exists && !w.Candidates[i].Fixed {
			r.full.Remove(k)
		}
	}
	return r, nil
}

// decide returns the candidate that serves a client of the world.
func (r *router) decide(k int) (int, error) {
	c := &r.w.clients[k]
	state := route.State{Usable: r.all, Holds: r.all, Final: true}
	if c.cold {
		state.Holds = r.full
	}
	client := c.asked
	client.Addr = someAddress
	d := route.Decide(&someBlob, &client, r.snap, &state)
	if d.Candidate == route.NoCandidate {
		return 0, fmt.Errorf("the config denies what the clients at %s ask for", c.Name())
	}
	return r.index[d.Candidate], nil
}

// someBlob is the request that stands for all. Nobody has a blob of that digest, and no config denies it.
var someBlob = func() oci.Request {
	r, err := oci.Parse("/v2/plan/blobs/sha256:"+fmt.Sprintf("%064x", 1), "")
	if err != nil {
		panic(err) // the text is in the grammar
	}
	return r
}()

// someAddress is in 240.0.0.0/4, which no client has and no pin names.
var someAddress = netip.AddrFrom4([4]byte{240, 0, 0, 1})

// Tolerance is the relative difference between the plan and the router above which nothing is shown.
const Tolerance = 0.001

// Check replays a set, and returns an error when money or round trips differ by more than [Tolerance].
func (w *World) Check(o *Outcome) error {
	is, err := w.Replay(o.Open)
	if err != nil {
		return err
	}
	differ := func(a, b float64) bool { return math.Abs(a-b) > Tolerance*math.Max(math.Abs(a), math.Abs(b)) }
	if !differ(o.Total(), is.Total()) && !differ(o.MS, is.MS) {
		return nil
	}
	where := ""
	for k := range o.by {
		if o.by[k] != is.by[k] {
			where = fmt.Sprintf(": clients at %s go to %s, not to %s", w.clients[k].Name(), w.Candidates[is.by[k]].Name, w.Candidates[o.by[k]].Name)
			break
		}
	}
	return fmt.Errorf("the plan says $%.2f and %.2f ms, the server's router $%.2f and %.2f ms%s", o.Total(), o.Mean, is.Total(), is.Mean, where)
}

// checked returns the outcome of a set when the server's router agrees. Where the options are an approximation, it is
// what the router says.
func (w *World) checked(open []int) (*Outcome, error) {
	if len(w.loose) > 0 {
		return w.Replay(open)
	}
	o, err := w.Of(open)
	if err != nil {
		return nil, err
	}
	return o, w.Check(o)
}

func countrySpot(code string) (place.Spot, bool) {
	if code == "" {
		return place.Spot{}, false
	}
	return place.CountrySpot(code)
}
