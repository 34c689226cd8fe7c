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
	// name is that of the test and of its row in docs/faults.md.
	name string
	// options of the world; may be zero.
	options
	// strike makes it happen, after clients have pulled for a while without a failure; nil: it is there from the start.
	strike func(t *testing.T, w *world)
	// lasts is how long clients go on pulling after that, and so many of them, at least; default 3 s, and 36 pulls.
	lasts time.Duration
	pulls int
	// sees is what an operator can see of it, sooner or later; polled. nil: nothing to see.
	sees func(w *world, m metrics) error
	// after is looked at when the clients have stopped.
	after func(t *testing.T, w *world)
	// unnoticed: not even a first try may fail.
	unnoticed bool
	// runtime: a real containerd pulls as well.
	runtime bool
	// impatient clients notice by themselves that nothing comes.
	impatient bool
}

func table() []fault {
	return slices.Concat(storeFaults(), inventoryFaults(), upstreamFaults(), feedFaults(), configFaults(), processFaults())
}

// Many worlds wait at once, few work.
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

// calm is how long, and how often, clients pull before the fault strikes; limit is how long that may take, and the pulls after it: an age,
// for pulls are only as fast as the machine.
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

// examples are a few pulls that failed once.
func (c *crowd) examples() (list []*pull) {
	for _, p := range c.pulls {
		if len(p.failed) > 0 && len(list) < 5 {
			list = append(list, p)
		}
	}
	return list
}

// told are the warnings and errors that the proxy logged, without those that say the same again.
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
