package reach

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// result is a scenario's outcome over its seeds.
type result struct {
	sum   tally
	seeds int
	worst tally // of the seed with the largest share past the nearest
	late  tally // of the seed with the most images that took more than three pulls
	// alerted counts the seeds in which the proxy found, at most ten minutes after the first complaint, that the
	// machines behind an address do not get through.
	alerted int
}

// over runs a scenario with seeds 1 to n, two at a time.
func over(p plan, n int) result {
	out := result{seeds: n}
	var mu sync.Mutex
	var wg sync.WaitGroup
	seeds := make(chan uint64)
	for range 2 {
		wg.Go(func() {
			for seed := range seeds {
				t := simulate(p, seed)
				mu.Lock()
				out.sum.add(&t)
				if t.share() >= out.worst.share() {
					out.worst = t
				}
				if t.slow() >= out.late.slow() {
					out.late = t
				}
				if t.events[Blocked] > 0 && t.first[Blocked]-t.first[Complained] <= 10*time.Minute {
					out.alerted++
				}
				mu.Unlock()
			}
		})
	}
	for seed := range n {
		seeds <- uint64(seed + 1)
	}
	close(seeds)
	wg.Wait()
	return out
}

// slow returns how many images were not complete by their third pull.
func (t *tally) slow() int { return t.pulls[3] + t.pulls[4] }

// scenario is a row of the table, with its bounds. A negative bound means none.
type scenario struct {
	name string
	plan
	past     float64 // mean share of blob requests past the nearest, in percent
	upstream float64 // mean requests to the upstream, per address and day
	slow     int     // images not complete by the third pull, for all seeds together
	alerted  int     // at least this many seeds raise the alert in time
	quiet    bool    // no seed ever raises it
}

func healthy(kind string, machines, addresses int, spread time.Duration) scenario {
	s := scenario{
		name:     fmt.Sprintf("%s, %s", plural(machines, "machine"), kind),
		plan:     plan{machines: machines, addresses: addresses, kind: kind, spread: spread, images: 40, balance: "address"},
		quiet:    true,
		upstream: 15, // a wave: a fleet pulls one image at once
	}
	perAddress := machines / max(1, addresses)
	switch {
	case addresses == 0 || perAddress == 1:
		s.upstream = 0
	case perAddress < 10:
		s.past = 5
	default:
		s.past = 0.5
	}
	if c := clients[kind]; c.chunk > 0 {
		s.upstream = none // each part of a chunked layer is a request
	} else if c.repulls > 0 {
		s.past, s.upstream = 5, none // it looks like two machines
	}
	return s
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// boots returns a scenario with machines that request 40 images when they begin.
func boots(s scenario, past float64) scenario {
	s.boot, s.past, s.upstream, s.name = true, past, none, s.name+", 40 images at once"
	return s
}

// small returns a scenario with images of so few blobs that no pull shows progress: a runtime may have all of them
// under way.
func small(s scenario, least, most int, past float64) scenario {
	s.blobs, s.past, s.upstream, s.name = [2]int{least, most}, past, none, fmt.Sprintf("%s, images of %d to %d blobs", s.name, least, most)
	return s
}

// blocked returns a scenario with machines behind one address that their nearest store refuses.
func blocked(machines int, spread time.Duration) scenario {
	return scenario{
		name: plural(machines, "machine") + " behind one address, nearest: 403",
		plan: plan{machines: machines, addresses: 1, kind: "containerd", spread: spread, images: 40, balance: "address",
			broken: func(int) (fault, fault) { return refuses, works }},
		past: none, upstream: none, slow: none,
	}
}

// alarming requires that at least that many days raise the alert.
func alarming(s scenario, days int) scenario {
	s.alerted = days
	return s
}

// broken returns a scenario with one machine whose path to its nearest store, or to all stores, is broken.
func broken(kind string, f fault, all bool) scenario {
	s := scenario{
		name: fmt.Sprintf("nearest: %s, %s", f, kind),
		plan: plan{machines: 1, kind: kind, images: 40, balance: "address", broken: func(int) (fault, fault) { return f, works }},
		past: none, upstream: none,
	}
	if all {
		s.name = fmt.Sprintf("all stores: %s, %s", f, kind)
		s.broken = func(int) (fault, fault) { return f, f }
	}
	// This looks like two machines that take turns, or like a lazy reader of parts. It cannot be distinguished, so it
	// is only printed.
	if kind == "ci" || kind == "lazy" || all && f == large {
		s.slow = none
	}
	return s
}

func (f fault) String() string { return faultNames[f] }

const none = -1

// check checks the bounds of a scenario and returns its row.
func (s *scenario) check(t *testing.T, seeds int) string {
	t.Helper()
	r := over(s.plan, seeds)
	addresses := max(1, s.addresses)
	if s.addresses == 0 {
		addresses = s.machines
	}
	upstream := float64(r.sum.upstream) / float64(seeds*addresses)
	if s.past >= 0 && r.sum.share() > s.past {
		t.Errorf("%s, within %v: %.3f %% past the nearest, want at most %v", s.name, s.spread, r.sum.share(), s.past)
	}
	if s.upstream >= 0 && upstream > s.upstream {
		t.Errorf("%s, within %v: %.2f to the upstream an address, want at most %v", s.name, s.spread, upstream, s.upstream)
	}
	if s.slow >= 0 && r.sum.slow() > s.slow {
		t.Errorf("%s: %d images not complete by the third pull, want at most %d", s.name, r.sum.slow(), s.slow)
	}
	if r.alerted < s.alerted || s.quiet && r.sum.events[Blocked] > 0 {
		t.Errorf("%s: the alert is raised in %d of %d days, in all %d times, want at least %d (quiet: %v)", s.name, r.alerted, seeds, r.sum.events[Blocked],
			s.alerted, s.quiet)
	}
	total := 0
	for _, n := range r.sum.pulls {
		total += n
	}
	return fmt.Sprintf("| %s | %v | %.3f %% (%.3f %%) | %.1f | %.1f / %.1f / %.1f / %.1f %% | %d of %d |", s.name, s.spread, r.sum.share(), r.worst.share(),
		upstream, pct(r.sum.pulls[0], total), pct(r.sum.pulls[1], total), pct(r.sum.pulls[2], total), pct(r.sum.slow(), total), r.alerted, seeds)
}

func pct(n, of int) float64 { return 100 * float64(n) / float64(max(1, of)) }

// TestSimulator checks the bounds of a few scenarios.
func TestSimulator(t *testing.T) {
	for _, s := range []scenario{
		healthy("containerd", 20, 0, time.Minute),
		healthy("containerd", 2, 1, 10*time.Second),
		healthy("containerd", 10, 1, 10*time.Minute),
		healthy("containerd", 50, 1, 100*time.Millisecond),
		healthy("containerd2", 3, 1, 0),
		healthy("podman", 4, 2, 10*time.Second),
		broken("containerd", refuses, false), broken("containerd", errs, true), broken("containerd", cuts, false),
		broken("cri-o", hangs, true), broken("podman", refuses, true), broken("podman", large, false),
		broken("containerd2", cuts, false), broken("crane", refuses, false),
		boots(healthy("containerd", 2, 1, 10*time.Second), 40), boots(healthy("containerd", 50, 1, 10*time.Minute), 4),
		boots(broken("cri-o", refuses, false), none), small(healthy("containerd", 10, 1, 10*time.Minute), 3, 6, 5),
		alarming(blocked(20, 10*time.Second), 2),
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			t.Log(s.check(t, 3))
		})
	}
}

// With 40 images at once, some blobs are forgotten before they are requested again. That is not progress. If it counted
// as progress, the nearest would be believed to work. Every image must arrive sooner or later.
func TestNoneIsForgotten(t *testing.T) {
	s := boots(broken("cri-o", refuses, false), none)
	if r := over(s.plan, 100); r.sum.pulls[4] > 0 {
		t.Errorf("%d images never came", r.sum.pulls[4])
	}
}

// TestSlowSimulator runs the complete table, with 20 seeds, and more for rows that scatter. It prints the rows of
// docs/client-simulation.md.
func TestSlowSimulator(t *testing.T) {
	if os.Getenv("OCIPROXY_SLOW") == "" {
		t.Skip("OCIPROXY_SLOW is not set")
	}
	const seeds = 20
	days := func(machines int) int { return min(max(1000/machines, seeds), 5*seeds) } // few machines scatter more
	spreads := []time.Duration{0, 100 * time.Millisecond, 10 * time.Second, 10 * time.Minute}
	var b strings.Builder
	row := func(s scenario) { fmt.Fprintln(&b, s.check(t, seeds)) }
	fmt.Fprintln(&b, "healthy")
	for _, kind := range []string{"containerd", "cri-o", "podman", "crane", "containerd2", "lazy", "ci"} {
		row(healthy(kind, 20, 0, time.Minute))
	}
	for _, machines := range []int{2, 3, 9, 10, 50} {
		for _, spread := range spreads {
			h := healthy("containerd", machines, 1, spread)
			fmt.Fprintln(&b, h.check(t, days(machines)))
		}
	}
	for _, kind := range []string{"cri-o", "podman", "containerd2", "lazy"} {
		for _, machines := range []int{2, 10} {
			for _, spread := range spreads[1:3] {
				row(healthy(kind, machines, 1, spread))
			}
		}
	}
	thousand := healthy("containerd", 1000, 1, 10*time.Minute)
	thousand.upstream = 1000 // a wave of as many machines: one request each
	row(thousand)
	row(healthy("containerd", 80, 8, 10*time.Second))
	row(healthy("containerd", 4, 2, 10*time.Second))
	fmt.Fprintln(&b, "one client")
	for _, kind := range []string{"containerd", "cri-o", "podman", "crane", "containerd2", "lazy", "ci"} {
		for f := refuses; f <= large; f++ {
			row(broken(kind, f, false))
			row(broken(kind, f, true))
		}
	}
	fmt.Fprintln(&b, "instances")
	for _, instances := range []int{2, 4, 10} {
		for _, balance := range []string{"address", "connection", "request"} {
			fleet := healthy("containerd", 50, 1, 10*time.Second)
			client := broken("containerd", refuses, false)
			for _, s := range []scenario{fleet, client} {
				s.name = fmt.Sprintf("%d instances by %s: %s", instances, balance, s.name)
				s.instances, s.balance, s.replaced = instances, balance, time.Hour
				s.past, s.upstream, s.slow = none, none, none
				row(s)
			}
		}
	}
	fmt.Fprintln(&b, "boots")
	row(boots(healthy("containerd", 2, 1, 10*time.Second), 20))
	row(boots(healthy("containerd", 3, 1, 10*time.Second), 10))
	row(boots(healthy("containerd", 10, 1, 10*time.Minute), 12))
	row(boots(healthy("podman", 10, 1, 10*time.Second), 20))
	row(boots(healthy("containerd", 50, 1, 10*time.Minute), 2))
	for _, kind := range []string{"containerd", "cri-o", "podman"} {
		for _, all := range []bool{false, true} {
			s := boots(broken(kind, refuses, all), none)
			s.slow = none
			row(s)
		}
	}
	fmt.Fprintln(&b, "small images")
	for _, machines := range []int{2, 10, 50} {
		for _, blobs := range [][2]int{{2, 2}, {3, 6}} {
			row(small(healthy("containerd", machines, 1, 10*time.Minute), blobs[0], blobs[1], 10))
		}
	}
	row(small(boots(healthy("podman", 50, 1, 10*time.Minute), none), 3, 6, 8))
	fmt.Fprintln(&b, "a blocked network")
	for _, machines := range []int{2, 5, 20, 100} {
		for _, spread := range spreads[1:] {
			row(alarming(blocked(machines, spread), seeds/2))
		}
	}
	boot := blocked(20, 10*time.Second)
	boot.boot, boot.name = true, boot.name+", 40 images at once"
	row(alarming(boot, seeds/2))
	t.Log("\n" + b.String())
}
