package plan

import (
	"cmp"
	"math"
	"slices"
)

// Region is a store of an answer. Only add fields; never remove one.
type Region struct {
	Name  string `json:"name"`  // of the store
	Place string `json:"place"` // "" for a CDN
	New   bool   `json:"new"`   // the config has no active store of that name
	// StorageUSD and GrowthUSD are its parts of what a month costs, FillUSD what filling it costs once.
	StorageUSD float64 `json:"storageUSD"`
	GrowthUSD  float64 `json:"growthUSD"`
	FillUSD    float64 `json:"fillUSD"`
}

// Answer is a set of stores with all that is known about it. Only add fields; never remove one.
type Answer struct {
	Regions []Region `json:"regions"` // without CDNs and stores that every set has
	Added   []string `json:"added"`   // places of new stores
	Removed []string `json:"removed"` // names of stores of today that it is without
	Money
	TotalUSD float64 `json:"totalUSD"` // a month
	FillUSD  float64 `json:"fillUSD"`  // once
	MeanMS   float64 `json:"meanMs"`   // weighted by bytes
	P95MS    float64 `json:"p95Ms"`
	// CostWeight is the route.costWeight with which the server serves clients so.
	CostWeight float64 `json:"costWeight"`
	// WorthUSD is what the plan makes least: TotalUSD and what the round trips count. BoundUSD: no set of the same rules is
	// below it. Both are absent when the money does not count at all.
	WorthUSD float64 `json:"worthUSD,omitempty"`
	BoundUSD float64 `json:"boundUSD,omitempty"`
	// Gap is how far WorthUSD may be above the best, as a fraction of it. Proven says that it is 0. Estimated says that
	// the search approximates where some clients go, so that Gap and BoundUSD prove nothing.
	Gap       float64 `json:"gap"`
	Proven    bool    `json:"proven"`
	Estimated bool    `json:"estimated,omitempty"`
	// Low and High are what it costs a month when the step of a price that depends on the volume is not known.
	Low      float64  `json:"lowUSD"`
	High     float64  `json:"highUSD"`
	Losses   []Loss   `json:"losses,omitempty"`
	Survives []Case   `json:"survives,omitempty"`
	set      []int    // candidates
	outcome  *Outcome // as the plan has it
}

// Loss is what happens while one store of an answer does not work. Only add fields; never remove one.
type Loss struct {
	Name   string  `json:"name"`
	Place  string  `json:"place"`
	USD    float64 `json:"usd"`    // a month of it would cost this much more for transfer and requests
	MeanMS float64 `json:"meanMs"` // change of the mean round trip of all clients
	Moved  []Move  `json:"moved"`  // its clients, those with most bytes first
}

// Move is a client place that goes elsewhere. Only add fields; never remove one.
type Move struct {
	Client string  `json:"client"`
	Bytes  float64 `json:"bytes"` // a month
	Was    string  `json:"was"`
	Is     string  `json:"is"`
	USD    float64 `json:"usd"` // change a month
	RTTWas float64 `json:"rttWasMs"`
	RTTIs  float64 `json:"rttIsMs"`
}

// Change is what one more store, or one less, changes today. Only add fields; never remove one.
type Change struct {
	Name    string  `json:"name"`
	Place   string  `json:"place"`
	Saved   float64 `json:"savedUSD"`   // a month, on transfer and requests; negative: it costs more
	Running float64 `json:"runningUSD"` // a month: storage and the copying of what is added
	Fill    float64 `json:"fillUSD"`    // once
	Net     float64 `json:"netUSD"`     // Saved - Running a month
	// Payback is how many months of Net pay the filling; absent when Net does not pay it.
	Payback *float64 `json:"paybackMonths,omitempty"`
	MeanMS  float64  `json:"meanMs"`   // change of the mean round trip of all clients
	Worth   float64  `json:"worthUSD"` // change of what the plan makes least: negative is better
	Moved   []Move   `json:"moved"`    // clients, those with most bytes first
}

// answer makes the answer of a set, and checks it with the router.
func (w *World) answer(open []int) (*Answer, error) {
	o, err := w.checked(open)
	if err != nil {
		return nil, err
	}
	a := &Answer{
		Regions: []Region{}, Added: []string{}, Removed: []string{}, Money: o.Money, TotalUSD: o.Total(), FillUSD: o.Fill, MeanMS: o.Mean, P95MS: o.P95,
		CostWeight: w.weight, Low: o.Low, High: o.High, set: o.Open, outcome: o,
	}
	for _, i := range o.Open {
		c := &w.Candidates[i]
		a.Regions = append(a.Regions, w.region(o, i, !c.Exists))
		if !c.Exists {
			a.Added = append(a.Added, c.Site.Place.String())
		}
	}
	for _, i := range w.today {
		if !slices.Contains(o.Open, i) {
			a.Removed = append(a.Removed, w.Candidates[i].Name)
		}
	}
	if !math.IsInf(w.perMS, 1) {
		a.WorthUSD = o.worth(w)
	}
	return a, nil
}

// region describes a store of an outcome.
func (w *World) region(o *Outcome, i int, isNew bool) Region {
	c, t := &w.Candidates[i], w.tariff
	return Region{c.Name, c.Site.Place.String(), isNew, o.stored[i], t.fixed[i].Growth, t.fill[i]}
}

// moves lists the clients that two outcomes serve from different candidates.
func (w *World) moves(was, is *Outcome) []Move {
	out := []Move{}
	for k := range w.clients {
		a, b := was.by[k], is.by[k]
		if a == b || w.clients[k].Bytes == 0 {
			continue
		}
		c := &w.clients[k]
		m := Move{Client: c.Name(), Bytes: c.Bytes, Was: w.Candidates[a].Name, Is: w.Candidates[b].Name, RTTWas: c.rtt[a], RTTIs: c.rtt[b]}
		m.USD = is.usd[k] - was.usd[k]
		out = append(out, m)
	}
	slices.SortStableFunc(out, func(a, b Move) int { return cmp.Compare(b.Bytes, a.Bytes) })
	return out
}

// losses says what the loss of each store of an answer would do.
func (w *World) losses(a *Answer) error {
	for _, i := range a.set {
		rest := slices.DeleteFunc(slices.Clone(a.set), func(k int) bool { return k == i })
		o, err := w.Replay(rest) // which may break what the options take for granted
		if err != nil {
			return err
		}
		c := &w.Candidates[i]
		a.Losses = append(a.Losses, Loss{
			Name: c.Name, Place: c.Site.Place.String(), USD: o.Egress + o.Requests - a.outcome.Egress - a.outcome.Requests,
			MeanMS: o.Mean - a.MeanMS, Moved: w.moves(a.outcome, o),
		})
	}
	slices.SortStableFunc(a.Losses, func(x, y Loss) int { return cmp.Or(cmp.Compare(y.USD, x.USD), cmp.Compare(y.MeanMS, x.MeanMS)) })
	return nil
}

// change compares today with a set that differs from it by one store.
func (w *World) change(today *Outcome, i int, with bool) (Change, error) {
	set := slices.DeleteFunc(w.Today(), func(k int) bool { return k == i })
	if with {
		set = append(set, i)
	}
	o, err := w.Replay(set)
	if err != nil {
		return Change{}, err
	}
	c := &w.Candidates[i]
	out := Change{
		Name: c.Name, Place: c.Site.Place.String(), Saved: today.Egress + today.Requests - o.Egress - o.Requests,
		Running: o.Storage + o.Growth - today.Storage - today.Growth, Fill: o.Fill, MeanMS: o.Mean - today.Mean,
		Worth: o.worth(w) - today.worth(w), Moved: w.moves(today, o),
	}
	out.Net = out.Saved - out.Running
	switch {
	case out.Fill == 0 && out.Net >= 0:
		out.Payback = new(float64)
	case out.Net > 0:
		months := out.Fill / out.Net
		out.Payback = &months
	}
	return out, nil
}

// Changes lists what each possible store would change today, and what each store of today would when it goes, the best
// first. Those that the rules forbid are not there.
func (w *World) Changes() (adding, removing []Change, err error) {
	today, err := w.Of(w.today)
	if err != nil {
		return nil, nil, err
	}
	adding, removing = []Change{}, []Change{}
	for i := range w.Candidates {
		c, s := &w.Candidates[i], &w.problem.Sites[i]
		is := slices.Contains(w.today, i)
		if c.Fixed || is && s.Must || !is && s.Never || is && !w.keeps(i) {
			continue
		}
		change, err := w.change(today, i, !is)
		if err != nil {
			return nil, nil, err
		}
		if is {
			removing = append(removing, change)
		} else {
			adding = append(adding, change)
		}
	}
	for _, list := range [][]Change{adding, removing} {
		slices.SortStableFunc(list, func(a, b Change) int {
			return cmp.Or(cmp.Compare(a.Worth, b.Worth), cmp.Compare(b.Net, a.Net))
		})
	}
	return adding, removing, nil
}

// keeps reports whether today without store i keeps the groups of the rules.
func (w *World) keeps(i int) bool {
	for _, g := range w.problem.Groups {
		n := 0
		for _, k := range w.whole(w.today) {
			if k != i && slices.Contains(g.Sites, k) {
				n++
			}
		}
		if n < g.Min && slices.Contains(g.Sites, i) {
			return false
		}
	}
	return true
}
