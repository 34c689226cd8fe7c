package faults

import (
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
	// name is that of the test and of its row in docs/operations.md.
	name string
	// options of the world; may be zero.
	options
	// strike makes it happen, after clients have pulled for a while without a failure; nil: it is there from the start.
	strike func(t *testing.T, w *world)
	// lasts is how long clients go on pulling after that; default 8 s.
	lasts time.Duration
	// sees is what an operator can see of it, sooner or later; polled. nil: nothing to see.
	sees func(w *world, m metrics) error
	// after is looked at when the clients have stopped.
	after func(t *testing.T, w *world)
	// unnoticed: not even a first try may fail.
	unnoticed bool
	// runtime: a real containerd pulls as well.
	runtime bool
	// patient clients wait longer than the usual for the next byte.
	patient time.Duration
	// alone: it needs the machine for itself.
	alone bool
}

func table() []fault {
	return slices.Concat(storeFaults(), inventoryFaults(), upstreamFaults(), feedFaults(), configFaults(), processFaults())
}

// Many worlds wait at once, few work.
func TestMain(m *testing.M) { parts.Together(m, 6) }

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
	faults := table()
	t.Run("together", func(t *testing.T) {
		for _, f := range faults {
			if !f.alone {
				t.Run(f.name, func(t *testing.T) {
					t.Parallel()
					run(t, f)
				})
			}
		}
	})
	t.Run("alone", func(t *testing.T) {
		for _, f := range faults {
			if f.alone {
				t.Run(f.name, func(t *testing.T) { run(t, f) })
			}
		}
	})
	slices.SortFunc(tallies, func(a, b tally) int { return strings.Compare(a.fault, b.fault) })
	for _, s := range tallies {
		t.Log(s)
	}
}

// calm is how long, and how often, clients pull before the fault strikes.
const (
	calm      = time.Second
	calmPulls = 6
)

func (f fault) run(t *testing.T, g *grounds, daemon func() *containerd.Daemon) tally {
	w := newWorld(t, g, f.options)
	var set func(*node)
	if f.patient > 0 {
		set = func(n *node) { n.stall = f.patient }
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
		parts.Poll(t, 30*time.Second, "pulls before the fault", func() error {
			if n := c.count(); n < calmPulls || time.Since(quiet) < calm {
				return fmt.Errorf("%d pulls", n)
			}
			return nil
		})
		struck = time.Now()
		f.strike(t, w)
	}
	lasts := f.lasts
	if lasts == 0 {
		lasts = 8 * time.Second
	}
	enough := time.NewTimer(lasts)
	if f.sees != nil {
		w.poll(t, "what an operator sees", f.sees)
	}
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
