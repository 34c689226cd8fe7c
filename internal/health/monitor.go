package health

import (
	"cmp"
	"context"
	"math/bits"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ociproxy/internal/set"
	"ociproxy/internal/wait"
)

// Monitor probes targets and says which are usable. Safe for concurrent use.
type Monitor struct {
	opt    Options
	client *http.Client
	start  time.Time
	now    func() moment
	pulse  atomic.Int64 // moment of the last beat: a clock that costs one load

	mu      sync.Mutex
	roster  roster
	started bool // there was a first list of targets
	view    *View
	flying  int    // running probes
	epoch   int    // number of gaps so far
	beat    moment // when the clock was last read
	wg      sync.WaitGroup

	names atomic.Pointer[map[string]*candidate]
}

// New returns a monitor without targets. It makes no request before [Monitor.Run].
func New(opt Options) *Monitor {
	opt.setDefaults()
	m := &Monitor{opt: opt, client: probeClient(opt.Client), start: time.Now()}
	m.now = func() moment { return time.Since(m.start) }
	m.roster = roster{
		eject: opt.Eject, readmit: opt.Readmit, proof: opt.Proof, burst: opt.Burst,
		patience: patience,
	}
	m.names.Store(&map[string]*candidate{})
	return m
}

// patience is how many turns a joining candidate waits for an object to probe it with. At about two seconds a turn
// that is ten seconds, as long as readiness waits for inventories.
const patience = 5

// View is the usable set for one list of targets. Its indices are those of that list, whatever is reloaded later. A
// view that was replaced keeps its last content.
type View struct {
	m      *Monitor
	list   []*candidate
	usable atomic.Pointer[set.Set]
}

// SetTargets replaces the targets. The index in the slice is the candidate's index in every set of the returned view.
// A target whose name and origin did not change keeps its state. The targets of the first call are usable at once; a
// target that a later call adds is usable after its first good probe.
func (m *Monitor) SetTargets(targets []Target) *View {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := *m.names.Load()
	now := m.now()
	v := &View{m: m, list: make([]*candidate, len(targets))}
	names := make(map[string]*candidate, len(targets))
	for i, t := range targets {
		c := old[t.Name]
		if c == nil || c.Origin != t.Origin {
			c = m.newCandidate(now)
		}
		if t.Prove && !c.Prove {
			c.proven, c.turn = proven{}, wholeTurn
		}
		c.Target = t
		v.list[i], names[t.Name] = c, c
	}
	m.started = true
	m.names.Store(&names)
	m.roster.all = v.list
	m.view = v
	v.publish()
	return v
}

func (m *Monitor) newCandidate(now moment) *candidate {
	c := &candidate{since: time.Now(), last: now, jitter: rand.Float64(), turn: rand.IntN(turns)}
	c.seen.Store(-1)
	if m.started {
		c.standing = joining
	}
	return c
}

// Usable returns the candidates that are in service. It costs one load and does not allocate.
func (v *View) Usable() set.Set { return *v.usable.Load() }

// Suspect reports that a client, check or relay met a connect error, time-out or 5xx at candidate i. The monitor
// probes it at once, at most every other second. Suspect never blocks.
func (v *View) Suspect(i int) { v.list[i].suspect.Store(true) }

// Suspected reports whether candidate i still has to be probed because of [View.Suspect].
func (v *View) Suspected(i int) bool { return v.list[i].suspect.Load() }

// Busy reports the candidates that clients are sent to, or would be next: the top three of a ranking in use. The
// monitor probes them more often for the next ten minutes. Busy is for the request path: it costs a few loads.
func (v *View) Busy(candidates set.Set) {
	now := v.m.pulse.Load()
	for w, word := range candidates {
		for ; word != 0; word &= word - 1 {
			if i := w<<6 + bits.TrailingZeros64(word); i < len(v.list) {
				v.list[i].touch(now)
			}
		}
	}
}

// touch writes at most once a second, so that cores do not compete for the cache line.
func (c *candidate) touch(now int64) {
	if seen := c.seen.Load(); seen < 0 || now-seen > int64(time.Second) {
		c.seen.Store(now)
	}
}

// Proof returns what the probes of candidate i have shown since its target began to ask for a proof: good probes in a
// row, all that failed, and turns in a row without an object. complete says that the good ones in a row read ranges,
// and from a position to the end, where the target must be able to.
func (v *View) Proof(i int) (good, fails, blank int, complete bool) {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	c := v.list[i]
	if !c.Prove {
		return 0, 0, 0, false
	}
	p := &c.proven
	return p.good, p.fails, p.blank, c.RangeOptional || p.ranges && p.resumes
}

// Suspect does what [View.Suspect] does, by name. It ignores an unknown name.
func (m *Monitor) Suspect(name string) {
	if c := (*m.names.Load())[name]; c != nil {
		c.suspect.Store(true)
	}
}

// publish makes the usable set visible. The monitor's lock is held.
func (v *View) publish() {
	var usable set.Set
	for i, c := range v.list {
		if c.standing == inService {
			usable.Add(i)
		}
	}
	if old := v.usable.Load(); old == nil || *old != usable {
		v.usable.Store(&usable)
	}
}

const (
	// tick is how often the monitor looks for candidates that are due.
	tick = 250 * time.Millisecond
	// gap is how long the process must not have run for its measurements to be discarded: twice the shortest
	// interval.
	gap = 2 * time.Second
)

// Run probes until ctx is done, then waits for the probes under way. Call it once.
func (m *Monitor) Run(ctx context.Context) {
	defer m.wg.Wait()
	m.mu.Lock()
	m.beat = m.now()
	m.mu.Unlock()
	m.turn(ctx)
	for range wait.Every(ctx, tick) {
		m.turn(ctx)
	}
}

// turn starts the probes that are due, those of failing candidates first.
func (m *Monitor) turn(ctx context.Context) {
	m.mu.Lock()
	now := m.now()
	changes := m.look(now)
	if m.view != nil {
		changes = append(changes, m.roster.judge(now)...)
		for _, c := range m.due(now) {
			if m.flying >= m.opt.InFlight {
				break
			}
			m.launch(ctx, c)
		}
	}
	lines := m.apply(changes)
	m.mu.Unlock()
	m.log(lines)
}

// look notices that the process did not run for a while. The loop and each finished probe call it first, because either
// may be the first to run after a stop. The lock is held.
func (m *Monitor) look(now moment) []change {
	stopped := now - m.beat
	m.beat = now
	m.pulse.Store(int64(now))
	if stopped <= gap {
		return nil
	}
	m.epoch++
	m.roster.forgive()
	for _, c := range m.roster.all {
		c.asked, c.prompt, c.last, c.jitter = false, false, now, rand.Float64()
	}
	return []change{{nil, changeGap}}
}

// due lists the candidates to probe, most urgent first. The lock is held.
func (m *Monitor) due(now moment) []*candidate {
	var list []*candidate
	for _, c := range m.roster.all {
		if !c.running && now >= m.nextProbe(c, now) {
			list = append(list, c)
		}
	}
	slices.SortStableFunc(list, func(a, b *candidate) int {
		return cmp.Or(cmp.Compare(b.urgency(m.roster.frozen), a.urgency(m.roster.frozen)), cmp.Compare(a.last, b.last))
	})
	return list
}

// launch starts a probe. The lock is held.
func (m *Monitor) launch(ctx context.Context, c *candidate) {
	c.running, c.prompt = true, false
	c.suspect.Store(false)
	m.flying++
	epoch, target, turn, kept, hasKept := m.epoch, c.Target, c.turn, c.kept, c.hasKept
	if c.denied && (hasKept || target.Ping != "") {
		// Objects that clients ask for need not exist. A client that asks for made-up objects must not permanently
		// decide what this candidate is probed with.
		target.Sample = nil
	}
	m.wg.Go(func() {
		if !hasKept {
			kept = Object{}
		}
		begin := time.Now()
		r := m.probe(ctx, &target, turn, kept)
		m.finish(ctx, c, epoch, target.Prove, r, begin)
	})
}

// finish handles the result of a probe that began in epoch. proves says that its target asked for a proof then.
func (m *Monitor) finish(ctx context.Context, c *candidate, epoch int, proves bool, r result, begin time.Time) {
	took := time.Since(begin)
	m.mu.Lock()
	now := m.now()
	changes := m.look(now)
	c.running, c.last, c.jitter = false, now, 0.8+0.4*rand.Float64()
	m.flying--
	discarded := epoch != m.epoch || ctx.Err() != nil
	if !discarded {
		c.note(r)
		if proves && c.Prove {
			c.proven.note(r)
		}
		if (*m.names.Load())[c.Name] == c { // it was not removed meanwhile
			changes = append(changes, m.roster.record(c, r.outcome, now)...)
		}
	} else {
		c.jitter = rand.Float64()
	}
	lines := m.apply(changes)
	name := c.Name
	m.mu.Unlock()

	m.log(lines)
	switch {
	case discarded:
		m.opt.Observe(name, ResultDiscarded, took)
	case r.outcome != barren:
		m.opt.Observe(name, r.outcome.String(), took)
	}
	if r.missing && !discarded {
		m.opt.Missing(name, r.object.Digest)
	}
}
