package demo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ociproxy/internal/wait"
)

// pace holds the durations of an outage's phases.
type pace struct {
	pulls   time.Duration // from one pull to the next
	before  time.Duration // how long clients pull before the store fails
	ejected time.Duration // how long the store stays down after the ejection
	after   time.Duration // how long clients pull after everything is normal again
	retry   time.Duration // how long a client waits before it tries a piece again

	// The limits for the ejection, the re-admission and the return of the pulls.
	ejectWithin, readmitWithin, returnWithin time.Duration
}

var usualPace = pace{
	pulls: 400 * time.Millisecond, before: 3 * time.Second, ejected: 3 * time.Second, after: 1500 * time.Millisecond,
	retry: 200 * time.Millisecond, ejectWithin: 20 * time.Second, readmitWithin: 20 * time.Second, returnWithin: 10 * time.Second,
}

// outage makes one store fail and recover while the store's clients pull. It learns the store's health only from the
// admin port, as operators do.
type outage struct {
	demo    *demo
	store   *node
	clients []client
	out     *printer
	pace    pace

	fail, restore func() // of the store

	start  time.Time
	pulled int // pulls begun; each one comes from another network
	report outageReport

	failedAt, restoredAt, ejectedAt, readmittedAt time.Time       // zero: not yet
	returned                                      map[string]bool // clients whose pulls are normal again
}

// newOutage prepares an outage of store, which is one of [Stores].
func (d *demo) newOutage(store string, out *printer) *outage {
	n := d.world.node(store)
	o := &outage{
		demo: d, store: n, out: out, pace: usualPace, report: outageReport{Store: store},
		fail: n.listener.fail, restore: n.listener.restore,
	}
	for _, c := range clients() {
		if c.Crowd.IsValid() && slices.Contains(c.nodes(), store) {
			o.clients = append(o.clients, c)
		}
	}
	return o
}

// run runs the outage. The error says what went wrong.
func (o *outage) run(ctx context.Context) error {
	o.start = time.Now()
	if err := o.out.outageBegins(o); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	states := make(chan bool)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		o.watch(ctx, states)
	}()
	err := o.play(ctx, states)
	cancel()
	<-watched
	if err != nil {
		return err
	}
	return o.out.outageReport(o.summary())
}

// play runs the phases of the outage. A phase that takes too long becomes a problem, and play skips the remaining
// phases.
func (o *outage) play(ctx context.Context, states <-chan bool) error {
	never := func() bool { return false }
	parts := []struct {
		begin   func()
		until   func() bool
		limit   time.Duration
		problem string // if the phase does not finish within limit; "" for a phase that only waits
	}{
		{nil, never, o.pace.before, ""},
		{o.breakStore, func() bool { return !o.ejectedAt.IsZero() }, o.pace.ejectWithin, "the store was not ejected"},
		{nil, never, o.pace.ejected, ""},
		{o.mendStore, func() bool { return !o.readmittedAt.IsZero() }, o.pace.readmitWithin, "the store was not re-admitted"},
		{nil, func() bool { return len(o.returned) == len(o.clients) }, o.pace.returnWithin, "pulls did not return to the store"},
		{nil, never, o.pace.after, ""},
	}
	tick := time.NewTicker(o.pace.pulls)
	defer tick.Stop()
	for _, part := range parts {
		if part.begin != nil {
			part.begin()
		}
		for end := time.Now().Add(part.limit); !part.until() && time.Now().Before(end); {
			select {
			case <-ctx.Done():
				return fmt.Errorf("outage of %s: %w", o.store.name, ctx.Err())
			case usable := <-states:
				o.note(usable)
			case <-tick.C:
				o.pull(ctx, states)
			}
		}
		if part.problem != "" && !part.until() {
			o.problem("%s within %s", part.problem, part.limit)
			return nil
		}
	}
	return nil
}

func (o *outage) breakStore() {
	o.fail()
	o.failedAt = time.Now()
	o.say("store", "failed", o.store.name+" fails: it resets every connection")
}

func (o *outage) mendStore() {
	o.restore()
	o.restoredAt = time.Now()
	o.returned = map[string]bool{}
	o.say("store", "restored", o.store.name+" works again")
}

// note records that the proxy's opinion of the store has changed.
func (o *outage) note(usable bool) {
	now := time.Now()
	switch {
	case !usable && o.failedAt.IsZero():
		o.problem("the store was ejected before it failed")
	case !usable && o.ejectedAt.IsZero():
		o.ejectedAt = now
		o.report.Ejected = seconds(now.Sub(o.failedAt))
		o.say("health", "ejected", fmt.Sprintf("%s is ejected, %.1f s after it failed", o.store.name, *o.report.Ejected))
	case !usable:
		o.problem("the store was ejected again")
	case !o.restoredAt.IsZero():
		o.readmittedAt = now
		o.report.Readmitted = seconds(now.Sub(o.restoredAt))
		o.say("health", "readmitted", fmt.Sprintf("%s is re-admitted, %.1f s after it worked again", o.store.name, *o.report.Readmitted))
	default:
		o.problem("the store was re-admitted while it was down")
	}
}

// watch sends each change in whether the proxy uses the store, until ctx is done. It assumes that the store is usable
// at first.
func (o *outage) watch(ctx context.Context, states chan<- bool) {
	for was := true; ; {
		if usable, ok := o.demo.usable(ctx, o.store.name); ok && usable != was {
			select {
			case states <- usable:
				was = usable
			case <-ctx.Done():
				return
			}
		}
		if wait.For(ctx, 100*time.Millisecond) != nil {
			return
		}
	}
}

// problem records something that went wrong.
func (o *outage) problem(format string, args ...any) {
	o.report.Problems = append(o.report.Problems, fmt.Sprintf(format, args...))
}

func seconds(d time.Duration) *float64 {
	s := since(d)
	return &s
}

// since returns d in seconds, to the millisecond.
func since(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }
