package report

import (
	"ociproxy/internal/bill"
	"ociproxy/internal/place"
	"ociproxy/internal/traffic"
)

// tally is the first reading: for each store, day and source what clients downloaded, and how much each meter ran.
type tally struct {
	w      *world
	rows   int64
	logs   [numSources]bool // which sources there are
	days   map[storeDay]*dayTold
	uses   []use                   // in the order in which the meters first ran, so that sums are the same each time
	at     map[meterDay]int        // index in uses
	strays map[string]*Sum         // stores that the config does not have, by name
	asked  map[traffic.Day]float64 // requests of clients to the proxy, by month; see choose
	kept   *kept                   // nil: there were too many sums
	now    tallied
}

// tallied is where rows with the same key, whatever their reason and repository, are counted.
type tallied struct {
	neighbours
	told *told // nil: not of clients
	uses []int
}

type storeDay struct {
	store string
	day   traffic.Day
}

// dayTold is what each source tells of a store's downloads in a day.
type dayTold [numSources]told

type told struct {
	there     bool
	requests  float64
	bytes     float64
	lines     int64
	downloads float64 // requests that the proxy can know: GET and HEAD of clients
}

// sampled reports whether lines stand for several requests.
func (t *told) sampled() bool { return t.lines > 0 && t.requests > float64(t.lines)*1.0001 }

const (
	ofStore = iota
	ofProxy
	ofPrometheus
	numSources
)

var sourceNames = [numSources]traffic.Source{traffic.FromStore, traffic.FromProxy, traffic.FromPrometheus}

func sourceIndex(s traffic.Source) int {
	switch s {
	case traffic.FromStore:
		return ofStore
	case traffic.FromProxy:
		return ofProxy
	case traffic.FromPrometheus:
	}
	return ofPrometheus
}

// meterDay is a meter that runs for a store on a day. without says that it runs in the world without the proxy.
type meterDay struct {
	storeDay
	source  uint8
	own     bool // not of clients
	without bool
	meter   bill.Meter
}

// use is how much a meter ran.
type use struct {
	meterDay
	quantity float64
}

// several reports whether logs of stores and of the proxy were read. Both tell of single blobs, and an object does not say
// which of them it was counted from, so that they cannot be told apart.
func (t *tally) several() bool { return t.logs[ofStore] && t.logs[ofProxy] }

func newTally(w *world) *tally {
	return &tally{w: w, days: map[storeDay]*dayTold{}, at: map[meterDay]int{}, strays: map[string]*Sum{}, asked: map[traffic.Day]float64{}, kept: newKept(w, nil)}
}

// ofClients reports whether a row is a download of clients.
func ofClients(r *traffic.Row) bool { return r.Class == traffic.Client || r.Class == traffic.Endpoint }

func (t *tally) add(r *traffic.Row) {
	t.rows++
	t.logs[sourceIndex(r.Source)] = true
	if t.w.known[r.Store] == nil {
		s := t.strays[r.Store]
		if s == nil {
			s = &Sum{}
			t.strays[r.Store] = s
		}
		s.Requests += r.Requests
		s.Bytes += r.Bytes
		return
	}
	if len(t.now.uses) == 0 || !t.now.next(&r.Key) {
		t.move(r)
	}
	if s := t.now.told; s != nil {
		s.there = true
		s.requests += r.Requests
		s.bytes += r.Bytes
		s.lines += r.Lines
		if r.Operation == traffic.Get || r.Operation == traffic.Head {
			s.downloads += r.Requests
		}
	}
	for i, use := range t.now.uses {
		t.uses[use].quantity += [...]float64{r.Bytes, r.Requests}[i%2] // in the order of run
	}
	if t.kept != nil {
		if t.kept.add(r); t.kept.full() {
			t.kept = nil
		}
	}
}

// move looks up where a row is counted.
func (t *tally) move(r *traffic.Row) {
	at, source := storeDay{r.Store, r.Day}, sourceIndex(r.Source)
	t.now = tallied{neighbours: neighbours{key: r.Key}, uses: t.now.uses[:0]}
	if ofClients(r) {
		d := t.days[at]
		if d == nil {
			d = &dayTold{}
			t.days[at] = d
		}
		t.now.told = &d[source]
	}
	key := meterDay{storeDay: at, source: uint8(source), own: !ofClients(r)}
	t.w.run(r, func(m bill.Meter, _ float64, without bool) {
		key.meter, key.without = m, without
		i, ok := t.at[key]
		if !ok {
			i = len(t.uses)
			t.at[key] = i
			t.uses = append(t.uses, use{meterDay: key})
		}
		t.now.uses = append(t.now.uses, i)
	})
}

// run calls each with the meters that a row runs, in this world and in the one without the proxy: for its bytes, then for its
// requests.
func (w *world) run(r *traffic.Row, each func(m bill.Meter, quantity float64, without bool)) {
	client := w.clientOf(r)
	m := w.meters(lane{r.Store, client, r.Class, r.Operation})
	each(m.bytes, r.Bytes, false)
	each(m.requests, r.Requests, false)
	if ofClients(r) { // the others would not have happened
		m = w.meters(lane{w.canonical, client, traffic.Client, r.Operation})
		each(m.bytes, r.Bytes, true)
		each(m.requests, r.Requests, true)
	}
}

// clientOf returns where the client of a row is. One that came through an endpoint is in the store's region, whatever its
// address.
func (w *world) clientOf(r *traffic.Row) place.Place {
	if r.Class == traffic.Endpoint {
		return w.known[r.Store].at
	}
	return r.Client
}
