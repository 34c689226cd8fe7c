package fleet

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/place"
	"ociproxy/internal/prometheus"
	"ociproxy/internal/traffic"
)

// OtherFlows is the store of rows for which the proxy kept no series of their own, because it had too many. Their
// client and store are not known.
const OtherFlows = "other"

// The metrics of the proxy that are read; see docs/monitor.md.
const (
	redirects = "ociproxy_redirects_total"
	bytes     = "ociproxy_redirected_bytes_total"
	alive     = "ociproxy_config_info" // every instance has it
)

// Server is what is asked of a Prometheus server. [prometheus.Client] is one.
type Server interface {
	// Query returns the values of an expression at a time.
	Query(ctx context.Context, expression string, at time.Time) ([]prometheus.Sample, error)
}

// Day is what Prometheus knows of one day.
type Day struct {
	Day  traffic.Day
	Rows []traffic.Row // sorted by client, store and reason
	// Seen is the share of the day, up to now, in which Prometheus saw an instance: 0 to 1. Below 1 it missed redirects,
	// or no instance was running.
	Seen float64
}

// parallel is how many days are asked for at once. Prometheus answers 20 queries at once by default, and others ask too.
const parallel = 4

// Read returns the days from begin to the day before end, in order, without days that are in the future. It adds up all
// instances, and follows counters over restarts. What an instance counted after its last scrape is lost, and also what a
// new series counted before its first. done is called after each day, if it is not nil, never twice at once.
func Read(ctx context.Context, server Server, begin, end traffic.Day, now time.Time, done func(days, all int)) ([]Day, error) {
	if today := traffic.DayOf(now); end > today+1 {
		end = today + 1
	}
	if end <= begin {
		return nil, nil
	}
	days := make([]Day, end-begin)
	finished := make(chan struct{}, len(days))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	go func() {
		for i := range days {
			g.Go(func() (err error) {
				days[i], err = read(ctx, server, begin+traffic.Day(i), now)
				finished <- struct{}{}
				return err
			})
		}
	}()
	for n := range days {
		<-finished
		if done != nil {
			done(n+1, len(days))
		}
	}
	return days, g.Wait()
}

// read asks for one day.
func read(ctx context.Context, server Server, day traffic.Day, now time.Time) (Day, error) {
	out := Day{Day: day}
	at := (day + 1).Time()
	if now.Before(at) {
		at = now.Truncate(time.Second)
	}
	window := int(at.Sub(day.Time()).Seconds())
	if window < 1 {
		return out, nil // the day has just begun
	}
	const step = 300 // seconds: the longest time between two scrapes for which Prometheus still shows a value
	ask := func(format string, args ...any) ([]prometheus.Sample, error) {
		samples, err := server.Query(ctx, fmt.Sprintf(format, args...), at)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", day, err)
		}
		return samples, nil
	}
	seen, err := ask("count_over_time(count(%s)[%ds:%ds])", alive, window, step)
	if err != nil {
		return out, err
	}
	if len(seen) > 0 { // else it may have begun less than a step ago
		out.Seen = min(1, seen[0].Value/max(1, math.Floor(float64(window)/step)))
	}
	rows := map[traffic.Key]*traffic.Row{}
	for _, metric := range []string{redirects, bytes} {
		samples, err := ask("sum by (cloud, region, candidate, reason) (increase(%s[%ds]))", metric, window)
		if err != nil {
			return out, err
		}
		for _, s := range samples {
			if !(s.Value > 0) || math.IsInf(s.Value, 0) { // NaN too
				continue
			}
			key := keyOf(day, s.Labels)
			r := rows[key]
			if r == nil {
				r = &traffic.Row{Key: key}
				rows[key] = r
			}
			if metric == redirects {
				r.Requests += s.Value
			} else {
				r.Bytes += s.Value
			}
		}
	}
	for _, r := range rows {
		out.Rows = append(out.Rows, *r)
	}
	slices.SortFunc(out.Rows, compare)
	return out, nil
}

func keyOf(day traffic.Day, labels map[string]string) traffic.Key {
	k := traffic.Key{
		Day: day, Client: place.Place{Cloud: labels["cloud"], Region: labels["region"]}, Store: labels["candidate"],
		Class: traffic.Client, Operation: traffic.Get, Reason: labels["reason"], Source: traffic.FromPrometheus,
	}
	if k.Store == OtherFlows && k.Client.Cloud == OtherFlows {
		k.Client = place.Place{}
	}
	return k
}

func compare(a, b traffic.Row) int {
	if c := a.Client.Compare(b.Client); c != 0 {
		return c
	}
	if c := strings.Compare(a.Store, b.Store); c != 0 {
		return c
	}
	return strings.Compare(a.Reason, b.Reason)
}
