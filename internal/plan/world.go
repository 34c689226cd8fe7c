package plan

import (
	"fmt"
	"math"
	"slices"
	"time"

	"ociproxy/internal/bill"
	"ociproxy/internal/config"
	"ociproxy/internal/plan/solve"
	"ociproxy/internal/price"
	"ociproxy/internal/route"
	"ociproxy/internal/set"
	"ociproxy/internal/snapshot"
)

// Options describe a world. Config, Now, Demand and Stored are required.
type Options struct {
	Config *config.Config // valid
	Now    time.Time
	Matrix route.Matrix // of measured round trips, nil: the estimate
	Demand *Demand
	Stored float64 // bytes that a store holds
	Growth float64 // bytes that are added to each store in a month
	Months float64 // over which filling is spread and growth is averaged
	// CostWeight replaces route.costWeight; nil: that of the config.
	CostWeight *float64
	// MSValue is what a millisecond less is worth for each TB, in USD; nil: what the cost weight says.
	MSValue *float64
	// Hot says that new stores hold only the digests of [Demand.Heat].
	Hot   bool
	Rules Rules
	// Prices and Volume scale all prices for transfer and the demand; 0: as they are.
	Prices, Volume float64

	last   bool            // prices are at their last step where nothing says at which step they begin
	filled map[string]bool // stores that hold everything today, by name; nil: those that are active
}

// World is a problem with all that it was made from. It does not change, and several goroutines may use it.
type World struct {
	Candidates []Candidate // stores, then upstreams; a set is a list of indices
	// Notes are what a person should know, as sentences.
	Notes []string

	opt     Options
	cfg     *config.Config // with every candidate
	weight  float64        // of the scores
	perMS   float64        // USD for a millisecond less for a GB
	problem *solve.Problem
	clients []client // as in the problem
	today   []int
	fixed   []int
	tariff  *tariff
	loose   []string // clients whose options are an approximation
	begins  bool     // some price has steps, and nothing says at which it begins
}

// client is one client of the problem: all of a place's demand, or its hot or cold part.
type client struct {
	Client              // with the bytes of this part
	of     int          // index in Demand.Clients
	cold   bool         // only stores that hold everything serve it
	asked  route.Client // as the server sees it
	real   route.Client // where it is
	rtt    []float64    // by candidate
}

// gigabyte is the GB of the round trip's weight.
const gigabyte = 1e9

// New makes a world. The error says which part of the config or of the rules cannot be used.
func New(opt Options) (*World, error) {
	w := &World{opt: opt, weight: opt.Config.Route.CostWeight}
	if w.opt.Months <= 0 {
		w.opt.Months = 12
	}
	if opt.CostWeight != nil {
		w.weight = *opt.CostWeight
	}
	scale := factor(opt.Prices)
	switch {
	case opt.MSValue != nil:
		w.perMS = *opt.MSValue / 1000 // for a GB
	case w.weight > 0:
		w.perMS = 0.01 / w.weight
	default:
		w.perMS = math.Inf(1) // nothing but the round trip counts
	}
	var err error
	now := opt.Config.At(opt.Now)
	if w.Candidates, err = candidates(now, opt.Rules.Only, opt.Now); err != nil {
		return nil, err
	}
	if n := len(w.Candidates); n > set.Max {
		return nil, &Refusal{Reason: fmt.Sprintf("%d stores and possible regions are more than the server can have, %d", n, set.Max), Hint: "name the clouds to look at with --only"}
	}
	for i := range w.Candidates {
		c := &w.Candidates[i]
		if c.Fixed {
			w.fixed = append(w.fixed, i)
			if c.store != nil {
				w.Notes = append(w.Notes, fmt.Sprintf("%s stays, and is in no list of stores below: %s.", c.Name, c.Why))
			}
		} else if c.Exists {
			w.today = append(w.today, i)
		}
	}
	w.cfg = w.config(nil, scale)
	snap, err := w.everything()
	if err != nil {
		return nil, err
	}
	w.place(snap)
	book, err := bill.New(w.cfg)
	if err != nil {
		return nil, err
	}
	w.tariff = newTariff(w, book)
	return w, w.state(snap)
}

// factor returns a factor of the options, of which 0 means 1.
func factor(v float64) float64 {
	if v == 0 {
		return 1
	}
	return v
}

// config returns the config in which the stores of a set are active at 100 %; nil: all candidates. Prices are scaled by
// the weight: a score is round trip + weight × price.
func (w *World) config(open []int, scale float64) *config.Config {
	out := *w.opt.Config.At(w.opt.Now)
	out.Route.CostWeight = w.weight * scale
	out.Stores = nil
	for i := range w.Candidates {
		if c := &w.Candidates[i]; c.store != nil && (open == nil || c.Fixed || slices.Contains(open, i)) {
			out.Stores = append(out.Stores, c.active())
		}
	}
	return &out
}

// everything returns a snapshot with all candidates whose rankings have them all, whichever clients they serve.
func (w *World) everything() (*route.Snapshot, error) {
	cfg := *w.cfg
	cfg.Names = append(slices.Clone(cfg.Names), config.Name{Role: config.Direct})
	return snapshot.With(&cfg, w.opt.Matrix, func(*route.Candidate) {})
}

// place finds out how the server sees each client, and makes the clients of the problem.
func (w *World) place(snap *route.Snapshot) {
	unseen := map[string]float64{} // bytes of clients whose cloud the server does not find out, by cloud
	for i := range w.opt.Demand.Clients {
		d := w.opt.Demand.Clients[i]
		d.Bytes *= factor(w.opt.Volume)
		d.Requests *= factor(w.opt.Volume)
		if d.Bytes == 0 && d.Requests == 0 {
			continue
		}
		c := client{Client: d, of: i}
		c.asked, c.real = w.seen(&d)
		if c.asked.Place.IsZero() && !d.Place.IsZero() {
			unseen[d.Place.Cloud] += d.Bytes
		}
		for k := range snap.Candidates {
			c.rtt = append(c.rtt, snap.Seen(&c.real, k).RTT)
		}
		if !w.opt.Hot {
			w.clients = append(w.clients, c)
			continue
		}
		for _, cold := range []bool{false, true} {
			part, share := c, d.Hot
			if cold {
				share = 1 - d.Hot
			}
			part.cold, part.Bytes, part.Requests = cold, d.Bytes*share, d.Requests*share
			w.clients = append(w.clients, part)
		}
	}
	for cloud, bytes := range unseen {
		w.Notes = append(w.Notes, fmt.Sprintf("ranges.feeds in the config has no feed of %s: the server does not know that %.0f TB a month are of clients there, and no store that serves only %s gets them.",
			cloud, price.TB.Of(bytes), cloud))
	}
}

// seen returns a client as the server sees it, and as it is. A server without feeds of a cloud, or without GeoIP, takes
// such clients for unknown ones.
func (w *World) seen(d *Client) (asked, real route.Client) {
	real = route.Client{Place: d.Place}
	if spot, ok := countrySpot(d.Country); ok {
		real.Spot, real.HasSpot = spot, true
	}
	asked = real
	if d.Country != "" && w.cfg.Ranges.GeoIP.City == "" || !d.Place.IsZero() && !w.cfg.Ranges.Recognises(d.Place.Cloud) {
		asked = route.Client{}
	}
	return asked, real
}

// Today returns the set of stores that are active now, without those that every set has.
func (w *World) Today() []int { return slices.Clone(w.today) }

// whole adds the fixed candidates to a set, in the order of the indices.
func (w *World) whole(open []int) []int {
	out := slices.Concat(w.fixed, open)
	slices.Sort(out)
	return slices.Compact(out)
}

// isFilled reports whether a candidate holds everything today.
func (w *World) isFilled(i int) bool {
	c := &w.Candidates[i]
	return c.Exists && (c.store == nil || w.opt.filled == nil || w.opt.filled[c.Name])
}

// free removes the fixed candidates from a set.
func (w *World) free(open []int) (out []int) {
	for _, i := range open {
		if !w.Candidates[i].Fixed {
			out = append(out, i)
		}
	}
	return out
}
