package reach

import (
	"fmt"
	"os"
	"testing"
	"time"
)

func TestExplore(t *testing.T) {
	if os.Getenv("EXPLORE") == "" {
		t.Skip()
	}
	seeds := uint64(5)
	for _, kind := range []string{"containerd", "cri-o", "podman", "containerd2", "lazy", "ci"} {
		for f := refuses; f <= large; f++ {
			for _, both := range []bool{false, true} {
				var sum tally
				for seed := range seeds {
					o := simulate(plan{machines: 1, kind: kind, images: 40, broken: func(int) (fault, fault) {
						if both {
							return f, f
						}
						return f, works
					}}, seed)
					sum.add(&o)
				}
				fmt.Printf("broken %-12s %-10s both=%v pulls %v late %d up %d/%d ev %v\n", kind, faultNames[f], both, sum.pulls, sum.late, sum.upstream, sum.asked, sum.events)
			}
		}
	}
	for _, m := range []int{2, 5, 20, 100} {
		for _, spread := range []time.Duration{0, 10 * time.Second, 10 * time.Minute} {
			o := simulate(plan{machines: m, addresses: 1, kind: "containerd", spread: spread, images: 40, broken: func(int) (fault, fault) { return refuses, works }}, 1)
			fmt.Printf("blocked cluster m=%-4d spread %-6v pulls %v late %d past %.1f%% up %d/%d ev %v first %v\n", m, spread, o.pulls, o.late, o.share(), o.upstream, o.asked, o.events, o.first)
		}
	}
	for _, kind := range []string{"containerd", "cri-o", "podman", "containerd2", "lazy"} {
		for _, m := range []int{1, 2, 3, 10, 50} {
			for _, spread := range []time.Duration{0, 100 * time.Millisecond, 10 * time.Second, 10 * time.Minute} {
				var sum, worst tally
				for seed := range seeds {
					o := simulate(plan{machines: m, addresses: 1, kind: kind, spread: spread, images: 40}, seed)
					sum.add(&o)
					if o.share() > worst.share() {
						worst = o
					}
				}
				fmt.Printf("healthy %-12s m=%-4d spread=%-6v past %6.3f%% (worst %6.3f%%) upstream %6.3f%% up/seed %.1f ev %v\n", kind, m, spread, sum.share(), worst.share(), 100*float64(sum.upstream)/float64(sum.asked), float64(sum.upstream)/float64(seeds), sum.events)
			}
		}
	}
}
