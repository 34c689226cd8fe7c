package replay

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// Report is the result of a replay. Its JSON form is an interface: fields are only added. Requests count as many as the
// lines of the log stand for.
type Report struct {
	From     time.Time `json:"from,omitzero"` // of the requests in the log
	To       time.Time `json:"to,omitzero"`
	Hours    Hours     `json:"hours"`
	Requests int64     `json:"requests"` // that were decided: GETs of blobs and manifests
	Bytes    int64     `json:"bytes"`    // of their blobs, as far as known
	Unsized  int64     `json:"unsized"`  // requests for blobs of which no size is known
	Skipped  Skipped   `json:"skipped"`

	Moved  Moved     `json:"moved"`
	Denied int64     `json:"denied"` // requests that only the new config denies
	Moves  []Traffic `json:"moves"`  // by place, most requests first

	Cost Cost `json:"cost"`
	RTT  RTT  `json:"rtt_ms"`

	Lost   []Choice `json:"lost"`   // only one candidate is left for them; by place, most requests first
	Gained []Choice `json:"gained"` // there was only one candidate for them

	Log Agreement `json:"log"`
	// Changes are the stores and upstreams that differ between the configs, and in what.
	Changes []string `json:"changes"`
	Gates   []Gate   `json:"gates"`
}

// Hours says how much of its time a log covers.
type Hours struct {
	All  int64 `json:"all"`  // from the first request to the last one, begun ones included
	Busy int64 `json:"busy"` // that have a request
}

// Gaps reports whether more than half of the hours have no request: logs are missing between, or a clock was wrong.
func (h Hours) Gaps() bool { return 2*h.Busy < h.All }

// Moved is the traffic that goes elsewhere.
type Moved struct {
	Requests int64   `json:"requests"`
	Share    float64 `json:"share"` // of the requests, 0 to 1
	Bytes    int64   `json:"bytes"`
}

// Traffic is what goes from one candidate to another at a place.
type Traffic struct {
	Place    string  `json:"place"` // "unknown" for clients that the new config cannot locate
	From     string  `json:"from"`  // "denied" when the config forbids it
	To       string  `json:"to"`
	Requests int64   `json:"requests"`
	Bytes    int64   `json:"bytes"`
	RTT      float64 `json:"rtt_change_ms"`  // mean
	USD      float64 `json:"usd_change_log"` // for the requests in the log
	Example  Example `json:"example"`
}

// Cost is what sending the bytes costs, in US dollars.
type Cost struct {
	Old    float64 `json:"old_log"` // for the requests in the log
	New    float64 `json:"new_log"`
	Change float64 `json:"change"` // relative: 0.02 is 2 % more. 0 when nothing was paid before
	Known  bool    `json:"known"`  // the size of some blob is known
	// Month scales the costs of the log to a month. It is absent when the log covers less than an hour and nothing says
	// how many requests a month has.
	Month *Monthly `json:"month,omitempty"`
}

// Monthly are costs of a month, in US dollars.
type Monthly struct {
	Old    float64 `json:"old"`
	New    float64 `json:"new"`
	Factor float64 `json:"factor"` // how many times the log fits into a month
}

// RTT is the mean round trip of the requests that both configs answer, in milliseconds.
type RTT struct {
	Old    float64 `json:"old"`
	New    float64 `json:"new"`
	Change float64 `json:"change"`
}

// Choice counts requests of a place that lose or gain a choice between candidates.
type Choice struct {
	Place    string `json:"place"`
	Requests int64  `json:"requests"`
}

// Agreement says how far the candidates in the log are those that the old config chooses when all of them work.
type Agreement struct {
	Same    int64            `json:"same"`
	Differ  int64            `json:"differ"`
	Reasons map[string]int64 `json:"reasons,omitempty"` // of the log, where they differ
}

// DeniedName stands in a report for the answer that the config forbids a request.
const DeniedName = "denied"

// month is the length of a month, a twelfth of a year.
const month = 365.25 * 24 / 12 * float64(time.Hour)

// minSpan is the shortest time that a log must cover to stand for a month.
const minSpan = time.Hour

// Report sums up what was added until now.
func (r *Replay) Report() *Report {
	out := &Report{
		From: r.first, To: r.last, Skipped: r.skipped, Moves: []Traffic{}, Lost: []Choice{}, Gained: []Choice{},
		Changes: r.Changes(), Gates: []Gate{},
	}
	if out.Changes == nil {
		out.Changes = []string{}
	}
	var sum, moved cell
	var answered, refused float64
	var ms [2]float64
	moves := map[key]*cell{}
	choices := map[choice]map[int32]float64{lost: {}, gained: {}}
	for _, k := range r.keys() {
		c := r.cells[k]
		sum.join(c)
		if k.choice != same {
			choices[k.choice][k.place] += c.requests
		}
		if k.from != denied && k.to != denied {
			answered += c.requests
			ms[0], ms[1] = ms[0]+c.ms[0], ms[1]+c.ms[1]
		}
		if k.from == k.to {
			continue
		}
		if k.to == denied {
			refused += c.requests
		}
		moved.join(c)
		k.choice = same
		if moves[k] == nil {
			moves[k] = &cell{}
		}
		moves[k].join(c)
		if !moves[k].example.Address.IsValid() {
			moves[k].example = c.example
		}
	}
	for k, c := range moves {
		out.Moves = append(out.Moves, r.traffic(k, c))
	}
	slices.SortFunc(out.Moves, func(a, b Traffic) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), strings.Compare(a.Place, b.Place), strings.Compare(a.From, b.From), strings.Compare(a.To, b.To))
	})
	out.Requests, out.Bytes, out.Unsized = round(sum.requests), round(sum.bytes), round(sum.unsized)
	out.Moved = Moved{Requests: round(moved.requests), Bytes: round(moved.bytes), Share: ratio(moved.requests, sum.requests)}
	out.Denied = round(refused)
	out.RTT = RTT{Old: ratio(ms[0], answered), New: ratio(ms[1], answered)}
	out.RTT.Change = out.RTT.New - out.RTT.Old
	out.Cost = r.cost(&sum)
	out.Lost, out.Gained = r.choices(choices[lost]), r.choices(choices[gained])
	out.Log = r.logged.report()
	if len(r.hours) > 0 {
		out.Hours = Hours{All: r.last.Unix()/3600 - r.first.Unix()/3600 + 1, Busy: int64(len(r.hours))}
	}
	return out
}

// keys returns the keys in order, so that equal logs give equal reports: floating-point sums depend on it.
func (r *Replay) keys() []key {
	return slices.SortedFunc(maps.Keys(r.cells), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.place, b.place), cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to), cmp.Compare(a.choice, b.choice))
	})
}

func (c *cell) join(other *cell) {
	c.requests += other.requests
	c.bytes += other.bytes
	c.unsized += other.unsized
	for i := range c.usd {
		c.usd[i] += other.usd[i]
		c.ms[i] += other.ms[i]
	}
}

func (r *Replay) traffic(k key, c *cell) Traffic {
	t := Traffic{
		Place: r.places[k.place], From: r.name(k.from), To: r.name(k.to), Requests: round(c.requests), Bytes: round(c.bytes),
		USD: c.usd[1] - c.usd[0], Example: c.example,
	}
	if k.from != denied && k.to != denied {
		t.RTT = ratio(c.ms[1]-c.ms[0], c.requests)
	}
	return t
}

func (r *Replay) name(i int16) string {
	if i == denied {
		return DeniedName
	}
	return r.all.names[i]
}

func (r *Replay) cost(sum *cell) Cost {
	c := Cost{Old: sum.usd[0], New: sum.usd[1], Known: sum.bytes > 0}
	c.Change = ratio(c.New-c.Old, c.Old)
	factor := 0.0
	switch span := r.last.Sub(r.first); {
	case r.opt.MonthRequests > 0:
		factor = ratio(r.opt.MonthRequests, sum.requests)
	case span >= minSpan:
		factor = month / float64(span)
	}
	if factor > 0 {
		c.Month = &Monthly{Old: c.Old * factor, New: c.New * factor, Factor: factor}
	}
	return c
}

func (r *Replay) choices(by map[int32]float64) []Choice {
	out := []Choice{}
	for at, n := range by {
		out = append(out, Choice{r.places[at], round(n)})
	}
	slices.SortFunc(out, func(a, b Choice) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), strings.Compare(a.Place, b.Place))
	})
	return out
}

func (l *logged) report() Agreement {
	a := Agreement{Same: round(l.alike), Differ: round(l.differ)}
	for why, n := range l.reasons {
		if n > 0 {
			if a.Reasons == nil {
				a.Reasons = map[string]int64{}
			}
			a.Reasons[why] = round(n)
		}
	}
	return a
}

func round(n float64) int64 { return int64(math.Round(n)) }

// ratio is a/b, and 0 for 0/0 and a/0.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
