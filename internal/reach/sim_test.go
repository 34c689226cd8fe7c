package reach

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"ociproxy/internal/oci"
)

// The simulator has machines that pull as real clients do, through instances of the proxy, with its own clock. It knows
// which of the three levels work for which machine. The tables under test know only the requests.

// client is how a machine pulls.
type client struct {
	parallel int           // blobs at the same time
	keeps    bool          // finished blobs survive a failed pull
	inner    int           // immediate retries after a 5xx or a broken body
	chunk    int64         // requests parts of this size in parallel; 0: complete blobs
	closed   bool          // parts have an end
	peeks    bool          // first reads two bytes
	serial   bool          // one image after the other
	repulls  time.Duration // interval at which it pulls everything again; 0: never
	backoff  func(failures int, r *rand.Rand) time.Duration
}

func kubelet(failures int, r *rand.Rand) time.Duration {
	d := min(10*time.Second<<min(failures-1, 5), 300*time.Second)
	return d + time.Duration(r.Int64N(int64(2*time.Second)))
}

func tool(_ int, r *rand.Rand) time.Duration { return time.Second + rand1(r, 4*time.Second) }

func rand1(r *rand.Rand, d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(r.Int64N(int64(d)))
}

var clients = map[string]client{
	"containerd":  {serial: true, parallel: 3, keeps: true, inner: 5, backoff: kubelet},
	"cri-o":       {serial: true, parallel: 6, backoff: kubelet},
	"podman":      {parallel: 6, backoff: tool},
	"crane":       {parallel: 4, backoff: tool},
	"containerd2": {serial: true, parallel: 3, keeps: true, inner: 5, chunk: 10_000_000, backoff: kubelet},
	"lazy":        {serial: true, parallel: 3, keeps: true, chunk: 5_000_000, closed: true, peeks: true, backoff: kubelet},
	"ci":          {parallel: 3, repulls: 30 * time.Minute, backoff: tool},
}

// fault is how a path is broken.
type fault int

const (
	works   fault = iota
	refuses       // 403 at once
	errs          // 503: clients with inner retries ask the proxy again at once
	cuts          // the body ends early
	hangs         // nothing arrives for a minute
	large         // blobs over 50 MB end early
)

var faultNames = []string{"works", "403", "503", "cut", "hangs", "cuts large blobs"}

// plan is a scenario.
type plan struct {
	machines  int
	addresses int // machines share them in turn; 0: one each
	kind      string
	spread    time.Duration // machines begin an image within this time
	images    int
	broken    func(machine int) (nearest, next fault)
	instances int
	balance   string        // address, connection, request
	replaced  time.Duration // interval at which an instance is replaced by an empty one
	long      time.Duration // 0: a day
	boot      bool          // machines request all images when they begin, within spread
	blobs     [2]int        // blobs per image, least and most; 0: 5 to 14
}

// tally is the result of a simulation.
type tally struct {
	asked, past, upstream int
	// pulls counts images by the number of the pull that completed them. The last entry counts those that were never
	// complete.
	pulls [5]int
	// late counts pulls that failed after the machine's first complete one.
	late   int
	events [numEvents]int
	first  [numEvents]time.Duration
}

func (t *tally) add(o *tally) {
	t.asked, t.past, t.upstream, t.late = t.asked+o.asked, t.past+o.past, t.upstream+o.upstream, t.late+o.late
	for i := range t.pulls {
		t.pulls[i] += o.pulls[i]
	}
	for i := range t.events {
		t.events[i] += o.events[i]
	}
}

func (t *tally) share() float64 { return 100 * float64(t.past) / math.Max(1, float64(t.asked)) }

type blob struct {
	digest oci.Digest
	size   int64
}

type image struct {
	name  string
	blobs []blob
	start time.Duration
}

type sim struct {
	plan
	r      *rand.Rand
	key    uint64 // the tables' key
	clock  time.Duration
	queue  events
	seq    int
	tables []decider
	images []image
	out    tally
}

type event struct {
	at  time.Duration
	seq int
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}

func (s *sim) after(d time.Duration, do func()) {
	s.seq++
	heap.Push(&s.queue, event{s.clock + d, s.seq, do})
}

// simulate runs p with a seed.
func simulate(p plan, seed uint64) tally {
	s := &sim{plan: p, r: rand.New(rand.NewPCG(seed, 7)), key: mix(seed, 7)}
	if s.long == 0 {
		s.long = 24 * time.Hour
	}
	s.tables = make([]decider, max(1, p.instances))
	for i := range s.tables {
		s.renew(i)
		if p.replaced > 0 {
			s.after(time.Duration(i)*p.replaced/time.Duration(len(s.tables)), func() { s.replace(i) })
		}
	}
	for i := range p.images {
		im := image{name: fmt.Sprintf("app%d", i), start: rand1(s.r, s.long*9/10)}
		least, most := 5, 14
		if p.blobs[1] > 0 {
			least, most = p.blobs[0], p.blobs[1]
		}
		for j := range least + s.r.IntN(most-least+1) {
			d, err := oci.ParseDigest(fmt.Sprintf("sha256:%032x%016x%016x", s.r.Uint64(), i, j))
			if err != nil {
				panic(err)
			}
			im.blobs = append(im.blobs, blob{d, 1 << (10 + s.r.IntN(18))})
		}
		s.images = append(s.images, im)
	}
	for m := range p.machines {
		s.machine(m)
	}
	for len(s.queue) > 0 {
		e := heap.Pop(&s.queue).(event)
		if e.at > s.long+2*time.Hour {
			break
		}
		s.clock = e.at
		e.do()
	}
	for i := range s.tables {
		s.retire(i)
	}
	return s.out
}

// decider is the object under simulation.
type decider interface{ Ask(r *Request) Answer }

func (s *sim) renew(i int) {
	s.retire(i)
	start := time.Unix(1_800_000_000, 0)
	s.tables[i] = newDecider(s.key, func() time.Time { return start.Add(s.clock) })
}

// newDecider returns a table with a known key, so that a seed always has the same outcome.
func newDecider(key uint64, now func() time.Time) decider {
	t, _ := spare.Get().(*Table)
	if t == nil {
		t = New()
	}
	t.secret = [2]uint64{key | 1, mix(key, 1)}
	t.sum = func(s string) uint64 { return mix(fnv(s), key) }
	t.now = now
	return t
}

// spare has empty tables. To clear 8 MiB for each instance of each hour would take most of the time.
var spare sync.Pool

func (t *Table) empty() {
	for i, tag := range t.tags {
		if tag != 0 {
			t.tags[i], t.lines[i] = 0, line{}
		}
	}
}

func (s *sim) retire(i int) {
	if t, ok := s.tables[i].(*Table); ok {
		t.empty()
		spare.Put(t)
	}
}

func (s *sim) replace(i int) {
	s.renew(i)
	s.after(s.replaced, func() { s.replace(i) })
}

// node is one machine.
type node struct {
	s    *sim
	c    client
	id   int
	addr netip.Addr
	path [3]fault // by level
	have map[oci.Digest]bool
	done int // number of complete images
	busy bool
	wait []*pull // a kubelet pulls one image after the other
}

func (s *sim) machine(m int) {
	addr := m
	if s.addresses > 0 {
		addr = m % s.addresses
	}
	n := &node{s: s, c: clients[s.kind], id: m, have: map[oci.Digest]bool{}}
	n.addr = netip.AddrFrom4([4]byte{byte(10 + addr>>16), byte(addr >> 8), byte(addr), 9})
	if s.broken != nil {
		n.path[Nearest], n.path[Next] = s.broken(m)
	}
	boot := rand1(s.r, s.spread)
	for i := range s.images {
		im := &s.images[i]
		p := &pull{n: n, im: im}
		if s.boot {
			s.after(time.Hour+boot, p.begin)
			continue
		}
		s.after(im.start+rand1(s.r, s.spread), p.begin)
	}
}

// pull is one machine's attempt to get one image.
type pull struct {
	n        *node
	im       *image
	tries    int
	again    bool // a re-pull: not counted among the first pulls
	instance int
	left     []blob
	under    int
	failed   bool
	epoch    int // blobs of an earlier try that end late have no effect
}

func (p *pull) begin() {
	s := p.n.s
	if p.n.c.serial && p.n.busy {
		p.n.wait = append(p.n.wait, p)
		return
	}
	p.n.busy = true
	p.tries++
	p.epoch++
	p.instance = s.r.IntN(len(s.tables))
	p.failed, p.under = false, 0
	p.left = p.left[:0]
	for _, b := range p.im.blobs {
		if !p.n.have[b.digest] {
			p.left = append(p.left, b)
		}
	}
	s.r.Shuffle(min(len(p.left), p.n.c.parallel), func(i, j int) { p.left[i], p.left[j] = p.left[j], p.left[i] })
	p.more()
}

func (p *pull) more() {
	for !p.failed && p.under < p.n.c.parallel && len(p.left) > 0 {
		b := p.left[0]
		p.left = p.left[1:]
		p.under++
		p.fetch(b, p.epoch, 0, 0)
	}
	if p.under == 0 && len(p.left) == 0 && !p.failed {
		p.complete()
	}
}

// over lets the next image begin.
func (n *node) over() {
	n.busy = false
	if len(n.wait) > 0 {
		next := n.wait[0]
		n.wait = n.wait[1:]
		n.s.after(0, next.begin)
	}
}

func (p *pull) complete() {
	n, s := p.n, p.n.s
	n.over()
	if !p.again {
		s.out.pulls[min(p.tries, len(s.out.pulls)-1)-1]++
		if p.tries > 1 && n.done > 0 {
			s.out.late++
		}
	}
	n.done++
	if n.c.repulls > 0 {
		p.again, p.tries = true, 0
		s.after(n.c.repulls/2+rand1(s.r, n.c.repulls), func() {
			for _, b := range p.im.blobs {
				delete(n.have, b.digest)
			}
			p.begin()
		})
	}
}

// fetch asks for a blob from a byte on, and simulates what happens then.
func (p *pull) fetch(b blob, epoch, inner int, from int64) {
	n, s := p.n, p.n.s
	if n.c.peeks {
		p.ask(b, Span{Kind: Closed, Last: 1})
	}
	var level Level
	if n.c.chunk == 0 {
		span := Span{}
		if from > 0 {
			span = Span{Kind: Open, First: from}
		}
		level = p.ask(b, span)
	} else {
		for at := from; at < b.size; at += n.c.chunk {
			span := Span{Kind: Open, First: at}
			if n.c.closed {
				span = Span{Kind: Closed, First: at, Last: min(at+n.c.chunk, b.size) - 1}
			}
			level = max(level, p.ask(b, span))
		}
	}
	f := n.path[level]
	if f == large {
		f = works
		if b.size > 50<<20 {
			f = cuts
		}
	}
	took := 20*time.Millisecond + time.Duration(float64(b.size)/50e6*float64(time.Second))
	got := int64(0)
	switch f {
	case refuses, errs:
		took = 20 * time.Millisecond
	case cuts:
		got = b.size / 3
		took /= 3
	case hangs:
		took = time.Minute
	case works, large:
	}
	s.after(took+rand1(s.r, 30*time.Millisecond), func() {
		if p.epoch != epoch {
			return
		}
		switch {
		case f == works || p.failed:
			p.under--
			if f == works {
				n.have[b.digest] = n.have[b.digest] || !p.failed || n.c.keeps
			}
			p.more()
		case inner < n.c.inner && (f == errs || f == cuts && from+got < b.size):
			p.fetch(b, epoch, inner+1, from+got)
		default:
			p.fail()
		}
	})
}

func (p *pull) fail() {
	n, s := p.n, p.n.s
	p.failed = true
	p.epoch++
	n.over()
	if !n.c.keeps {
		for _, b := range p.im.blobs {
			delete(n.have, b.digest)
		}
	}
	if p.tries >= 40 {
		if !p.again {
			s.out.pulls[len(s.out.pulls)-1]++
		}
		return
	}
	s.after(n.c.backoff(p.tries, s.r), p.begin)
}

// ask asks the proxy, and returns the level to which it was sent.
func (p *pull) ask(b blob, span Span) Level {
	n, s := p.n, p.n.s
	at := p.instance
	switch s.balance {
	case "request":
		at = s.r.IntN(len(s.tables))
	case "address":
		at = int(n.addr.As4()[2]+n.addr.As4()[1]) % len(s.tables)
	}
	a := s.tables[at].Ask(&Request{Addr: n.addr, Digest: b.digest, Span: span, Repository: p.im.name, Origin: "https://near/"})
	s.out.asked++
	if hook != nil {
		hook(s, &Request{Addr: n.addr, Digest: b.digest, Span: span, Repository: p.im.name, Origin: "https://near/"}, a)
	}
	if a.Level != Nearest {
		s.out.past++
	}
	if a.Level == Upstream {
		s.out.upstream++
	}
	if s.out.events[a.Event] == 0 {
		s.out.first[a.Event] = s.clock
	}
	s.out.events[a.Event]++
	return a.Level
}

var hook func(*sim, *Request, Answer)
