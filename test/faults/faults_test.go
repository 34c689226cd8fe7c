package faults

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ociproxy/test/containerd"
	"ociproxy/test/hop"
	"ociproxy/test/parts"
)

// fault is one row of the table.
type fault struct {
	// name is the name of the test and of its row in docs/faults.md.
	name string
	// options are the options of the world; may be zero.
	options
	// strike causes the fault, after clients have pulled for a while without a failure. If strike is nil, the fault is
	// there from the start.
	strike func(t *testing.T, w *world)
	// lasts is how long, at least, clients continue to pull after strike; default 3 s. pulls is how many pulls they
	// make, at least; default 36.
	lasts time.Duration
	pulls int
	// sees checks what an operator can see of the fault, sooner or later. It is polled. If it is nil, there is nothing
	// to see.
	sees func(w *world, m metrics) error
	// after checks the world when the clients have stopped.
	after func(t *testing.T, w *world)
	// unnoticed says that not even a first try may fail.
	unnoticed bool
	// runtime says that a real containerd pulls as well.
	runtime bool
	// impatient says that clients give up soon when nothing arrives.
	impatient bool
}

func table() []fault {
	return slices.Concat(storeFaults(), inventoryFaults(), upstreamFaults(), feedFaults(), configFaults(), processFaults())
}

// Many worlds run at the same time, because most of them only wait.
func TestMain(m *testing.M) { parts.Together(m, 8) }

func TestSlowFaults(t *testing.T) {
	parts.Slow(t)
	g := newGrounds(t)
	daemon := sync.OnceValue(func() *containerd.Daemon { return containerd.Start(t, 2) })
	var mu sync.Mutex
	var tallies []tally
	run := func(t *testing.T, f fault) {
		s := f.run(t, g, daemon)
		mu.Lock()
		defer mu.Unlock()
		tallies = append(tallies, s)
	}
	t.Run("together", func(t *testing.T) {
		for _, f := range table() {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				run(t, f)
			})
		}
	})
	slices.SortFunc(tallies, func(a, b tally) int { return strings.Compare(a.fault, b.fault) })
	for _, s := range tallies {
		t.Log(s)
	}
}

// calm and calmPulls are how long, and how often, clients pull before the fault strikes. limit is how long these pulls,
// and those after the fault, may take. It is generous, because pulls are only as fast as the machine.
const (
	calm      = time.Second
	calmPulls = 6
	limit     = 5 * time.Minute
)

func (f fault) run(t *testing.T, g *grounds, daemon func() *containerd.Daemon) tally {
	w := newWorld(t, g, f.options)
	var set func(*node)
	if f.impatient {
		set = func(n *node) { n.stall = stall }
	}
	struck := time.Now()
	c := w.gather(t, set)
	if f.runtime {
		d := daemon()
		h := hop.Start(t, w.front, virginia.machine(1<<14-1))
		host := w.id + ".registry.test"
		d.Mirror(t, host, h.Addr)
		c.runtime(t, d, host+"/"+w.app()+":v1")
	}
	if f.strike != nil {
		quiet := time.Now()
		parts.Poll(t, limit, "pulls before the fault", func() error {
			if n := c.count(); n < calmPulls || time.Since(quiet) < calm {
				return fmt.Errorf("%d pulls", n)
			}
			return nil
		})
		struck = time.Now()
		f.strike(t, w)
	}
	enough := time.NewTimer(cmp.Or(f.lasts, 3*time.Second))
	if f.sees != nil {
		w.poll(t, "what an operator sees", f.sees)
	}
	parts.Poll(t, limit, "pulls after the fault", func() error {
		if n := c.since(struck); n < cmp.Or(f.pulls, 36) {
			return fmt.Errorf("%d pulls", n)
		}
		return nil
	})
	<-enough.C
	s := sum(f.name, c.leave(), struck)
	if f.after != nil {
		f.after(t, w)
	}
	t.Log(s)
	if testing.Verbose() {
		for _, line := range w.told() {
			t.Log(line)
		}
	}
	for _, p := range s.before {
		t.Errorf("before the fault: %s", p)
	}
	for _, p := range s.failed {
		t.Errorf("failed: %s", p)
	}
	if s.first > 0 && f.unnoticed {
		t.Errorf("%d first tries failed, want none", s.first)
	}
	if t.Failed() || testing.Verbose() {
		for _, p := range c.examples() {
			t.Logf("for example: %s", p)
		}
	}
	return s
}

// examples returns a few pulls that failed at least once.
func (c *crowd) examples() (list []*pull) {
	for _, p := range c.pulls {
		if len(p.failed) > 0 && len(list) < 5 {
			list = append(list, p)
		}
	}
	return list
}

// told returns the warnings and errors that the proxy logged, each message once.
func (w *world) told() (lines []string) {
	seen := map[any]bool{}
	for _, line := range w.proxy.Log(0) {
		if line["level"] != "INFO" && !seen[line["msg"]] {
			seen[line["msg"]] = true
			lines = append(lines, fmt.Sprint("logged: ", line["level"], " ", line["msg"], ": ", line["error"]))
		}
	}
	return lines
}
