package demo

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// trafficPace is the time from one pull to the next. At 2.9 MiB a pull this is 7 MB a second, all on loopback.
	trafficPace = 400 * time.Millisecond
	// trafficAtOnce bounds the pulls under way, for a machine that is too slow for the pace.
	trafficAtOnce = 4
	// trafficName begins the names under which these clients are in access logs. The demo prints nothing of what they
	// get: it prints what its user gets.
	trafficName = "traffic/"
)

// crowd is the clients of one place. They pull all the time while a demo serves.
type crowd struct {
	client
	weight int // of pulls
	credit int // see next
	pulled int
}

// crowds returns the clients that pull while a demo serves: those of the scenario, and some that the scenario does not
// need. Together they are on four continents, so that there is something to see on a map.
func crowds() []*crowd {
	weights := map[string]int{"aws-virginia": 8, "aws-dublin": 6, "home": 4, "azure-amsterdam": 3, "aws-singapore": 3, "gcp-belgium": 2}
	more := func(name, place, prefix string) client {
		return client{Name: name, Place: place, Crowd: netip.MustParsePrefix(prefix), Platform: "linux/amd64"}
	}
	var all []*crowd
	for _, c := range slices.Concat(clients(), []client{
		more("aws-oregon", "aws/us-west-2", "2001:db8:6000::/36"),
		more("aws-saopaulo", "aws/sa-east-1", "2001:db8:7000::/36"),
		more("gcp-tokyo", "gcp/asia-northeast1", "2001:db8:8000::/36"),
	}) {
		if c.Crowd.IsValid() {
			all = append(all, &crowd{client: c, weight: max(weights[c.Name], 1)})
		}
	}
	return all
}

// next chooses who pulls next: each as often as its weight says, and spread evenly.
func next(all []*crowd) *crowd {
	best, total := all[0], 0
	for _, c := range all {
		c.credit += c.weight
		total += c.weight
		if c.credit > best.credit {
			best = c
		}
	}
	best.credit -= total
	return best
}

// traffic pulls as all crowds until ctx is done. It reports pulls that fail.
func (d *demo) traffic(ctx context.Context, out *printer, start time.Time, pace time.Duration) {
	var g errgroup.Group
	g.SetLimit(trafficAtOnce)
	p := patient{demo: d, retry: usualPace.retry}
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for all := crowds(); ctx.Err() == nil; {
		c := next(all)
		address := c.network(c.pulled).String()
		c.pulled++
		g.TryGo(func() error {
			if got := p.pull(ctx, c.client, trafficName+c.Name, address); !got.pull.OK && ctx.Err() == nil {
				got.pull.At, got.pull.Event = since(time.Since(start)), "pull"
				got.pull.Client, got.pull.Address = c.Name, address
				out.outagePull(got.pull)
			}
			return nil
		})
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	_ = g.Wait() // no pull returns an error
}
