package report

import "ociproxy/internal/traffic"

// piece is a row, or the sum of rows that cost the same for each byte and request and count for the same tables.
type piece struct {
	key        *traffic.Key // of one of them; its repository does not count
	repository string       // "": of all
	requests   float64
	bytes      float64
	lines      int64
	variance   float64 // of the bytes
	sampled    float64 // bytes of rows that have a variance
}

func (p *piece) add(r *traffic.Row) {
	p.requests += r.Requests
	p.bytes += r.Bytes
	p.lines += r.Lines
	if v := varianceOf(r); v > 0 {
		p.variance += v
		p.sampled += r.Bytes
	}
}

func (p *piece) row() *traffic.Row {
	r := &traffic.Row{Key: *p.key, Requests: p.requests, Bytes: p.bytes, Lines: p.lines}
	r.Repository = p.repository
	return r
}

// kept are sums of rows from which the tables are made: pricing millions of rows one by one takes much longer. A sum has
// days of a period together, so the same sources must count on all of them: see add.
type kept struct {
	w            *world
	c            *choices // nil: not known yet
	now          neighbours
	lanes        map[keptLane]uint32
	costs        map[keptCost]uint32
	costKeys     []*traffic.Key    // by the number of the cost
	names        map[string]uint32 // of reasons and repositories
	at           map[keptFlow]*piece
	atRepository map[keptRepository]*piece
	flows        []*piece // without repositories, in the order of their first rows
	repositories []*piece // the same bytes once more, by repository
}

// keptFlow is what rows of a sum have in common: all but the day and the repository.
type keptFlow struct{ lane, reason uint32 }

// keptRepository is what rows of a sum of a repository have in common. Clients of many places cost the same.
type keptRepository struct{ cost, name uint32 }

// keptLane is what rows of a flow have in common besides the reason.
type keptLane struct {
	lane
	source  traffic.Source
	period  traffic.Day
	counted counted
}

// keptCost decides what a row of a repository costs, and whether it counts.
type keptCost struct {
	store         string
	operation     traffic.Operation
	source        traffic.Source
	period        traffic.Day
	counted       counted
	with, without meters
}

// counted says which tables rows count for.
type counted struct{ money, reasons bool }

// neighbours are rows that differ in their reason and repository only. Sources give most of them one after the other, so
// that the rest is looked up once.
type neighbours struct {
	key        traffic.Key
	lane, cost uint32
}

// next reports whether a row is one of the neighbours.
func (n *neighbours) next(k *traffic.Key) bool {
	return n.key.Day == k.Day && n.key.Client == k.Client && n.key.Store == k.Store && n.key.Class == k.Class &&
		n.key.Operation == k.Operation && n.key.Source == k.Source
}

// maxKept bounds the memory for sums: each takes some 150 bytes.
const maxKept = 500_000

// newKept keeps nothing yet. While no source is chosen, c is nil.
func newKept(w *world, c *choices) *kept {
	return &kept{
		w: w, c: c, lanes: map[keptLane]uint32{}, costs: map[keptCost]uint32{}, names: map[string]uint32{},
		at: map[keptFlow]*piece{}, atRepository: map[keptRepository]*piece{},
	}
}

// add keeps a row of a store that the config has.
func (k *kept) add(r *traffic.Row) {
	if len(k.lanes) == 0 || !k.now.next(&r.Key) {
		k.move(r)
	}
	flow := keptFlow{k.now.lane, number(k.names, r.Reason)}
	p := k.at[flow]
	if p == nil {
		key := r.Key
		p = &piece{key: &key}
		k.at[flow] = p
		k.flows = append(k.flows, p)
	}
	p.add(r)
	if r.Repository == "" || !ofClients(r) {
		return
	}
	of := keptRepository{k.now.cost, number(k.names, r.Repository)}
	if p = k.atRepository[of]; p == nil {
		p = &piece{key: k.costKeys[of.cost], repository: r.Repository}
		k.atRepository[of] = p
		k.repositories = append(k.repositories, p)
	}
	p.add(r)
}

// full reports whether more sums would take too much memory.
func (k *kept) full() bool { return len(k.flows)+len(k.repositories) >= maxKept }

// move makes a row the first of other neighbours.
func (k *kept) move(r *traffic.Row) {
	var is counted
	if k.c != nil {
		is = counted{k.c.counts(r), k.c.reasons(r)}
	}
	client, period := k.w.clientOf(r), k.w.periodOf(r.Day)
	one := lane{r.Store, client, r.Class, r.Operation}
	k.now = neighbours{key: r.Key, lane: number(k.lanes, keptLane{one, r.Source, period, is})}
	if ofClients(r) {
		k.now.cost = number(k.costs, keptCost{r.Store, r.Operation, r.Source, period, is,
			k.w.meters(one), k.w.meters(lane{k.w.canonical, client, traffic.Client, r.Operation})})
		if int(k.now.cost) == len(k.costKeys) {
			key := r.Key
			k.costKeys = append(k.costKeys, &key)
		}
	}
}

// number gives each key its own number.
func number[K comparable](m map[K]uint32, key K) uint32 {
	n, ok := m[key]
	if !ok {
		n = uint32(len(m))
		m[key] = n
	}
	return n
}

// fits reports whether sums that were made before the sources were chosen are right: each source of a store counts for the
// same on all days of a period.
func (t *tally) fits(c *choices) bool {
	type group struct {
		store  string
		period traffic.Day
		source int
	}
	of := map[group]counted{}
	for at, d := range t.days {
		for i := range d {
			if !d[i].there {
				continue
			}
			g, is := group{at.store, t.w.periodOf(at.day), i}, counted{int(c.of[at].counts) == i, int(c.of[at].reasons) == i}
			if was, ok := of[g]; ok && was != is {
				return false
			}
			of[g] = is
		}
	}
	return true
}
