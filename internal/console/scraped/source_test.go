package scraped

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/console/routing"
	"ociproxy/internal/console/view"
	"ociproxy/internal/prometheus"
	"ociproxy/internal/snapshot"
)

// fake is a Prometheus that scraped three instances. The store va is out on all of them for a time.
type fake struct {
	mu       sync.Mutex
	from, to time.Time // va is out
	down     error
	broken   string // queries that contain it fail
	asked    int
	ranges   int
}

func (f *fake) String() string { return "http://prometheus.example" }

func (f *fake) Query(_ context.Context, text string, at time.Time) ([]prometheus.Sample, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.down != nil {
		return nil, f.down
	}
	if f.broken != "" && strings.Contains(text, f.broken) {
		return nil, errors.New("too slow\x1b")
	}
	return f.at(text, at), nil
}

func (f *fake) at(text string, at time.Time) []prometheus.Sample {
	one := func(v float64, labels ...string) prometheus.Sample {
		s := prometheus.Sample{Labels: map[string]string{}, Value: v}
		for i := 0; i+1 < len(labels); i += 2 {
			s.Labels[labels[i]] = labels[i+1]
		}
		return s
	}
	out := !at.Before(f.from) && at.Before(f.to)
	flow := func(va, us float64) []prometheus.Sample {
		l := []string{"cloud", "aws", "region", "us-east-1", "candidate"}
		if out {
			return []prometheus.Sample{one(us, append(l, "us")...)}
		}
		return []prometheus.Sample{one(va, append(l, "va")...)}
	}
	switch {
	case !strings.Contains(text, `job="oci-proxy"`):
		return nil
	case strings.HasPrefix(text, "sum(up"):
		return []prometheus.Sample{one(2)}
	case strings.HasPrefix(text, "count(up"):
		return []prometheus.Sample{one(3)}
	case strings.HasPrefix(text, "sum(ociproxy_ready"):
		return []prometheus.Sample{one(2)}
	case strings.HasPrefix(text, "sum by (candidate) (ociproxy_candidate_usable"):
		va := 2.0
		if out {
			va = 0
		}
		return []prometheus.Sample{one(va, "candidate", "va"), one(2, "candidate", "us"), one(1, "candidate", "<script>"), one(2, "candidate", "eu")}
	case strings.HasPrefix(text, "count by (candidate) (ociproxy_candidate_usable"):
		return []prometheus.Sample{one(2, "candidate", "va"), one(2, "candidate", "us"), one(1, "candidate", "<script>"), one(2, "candidate", "eu")}
	case strings.Contains(text, "rate(ociproxy_redirects_total"):
		return flow(3, 3)
	case strings.Contains(text, "rate(ociproxy_redirected_bytes_total"):
		return flow(1<<30, 1<<30) // a GiB a second
	case strings.Contains(text, "rate(ociproxy_estimated_cost"):
		return flow(0, 0.12) // dollars a second: 12 cents a GiB
	case strings.Contains(text, "code=~"):
		return []prometheus.Sample{one(0)}
	case strings.Contains(text, "ociproxy_requests_total"):
		return []prometheus.Sample{one(10)}
	case strings.Contains(text, "config_info"):
		return []prometheus.Sample{one(2, "hash", strings.Repeat("ab", 32), "generation", "7", "ring", "all")}
	}
	return nil
}

func (f *fake) QueryRange(_ context.Context, text string, from, to time.Time, step time.Duration) ([]prometheus.Series, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ranges++
	if f.down != nil {
		return nil, f.down
	}
	series := map[string]*prometheus.Series{}
	for at := from; !at.After(to); at = at.Add(step) {
		for _, s := range f.at(text, at) {
			key := fmt.Sprint(s.Labels)
			if series[key] == nil {
				series[key] = &prometheus.Series{Labels: s.Labels}
			}
			series[key].Points = append(series[key].Points, prometheus.Point{At: at, Value: s.Value})
		}
	}
	var out []prometheus.Series
	for _, s := range series {
		out = append(out, *s)
	}
	return out, nil
}

const yaml = `version: 1
ranges: {feeds: []}
upstreams:
  - {name: us, url: "https://us.example", place: gcp/us-central1, canonical: true}
  - {name: eu, url: "https://eu.example", place: gcp/europe-west1}
stores:
  - {name: va, url: "https://va.example/{digest}", place: aws/us-east-1, serves: [aws]}
  - {name: quiet, url: "https://quiet.example/{digest}", place: aws/eu-west-1, serves: [aws]}
`

func source(t *testing.T, f *fake) *Source {
	t.Helper()
	cfg, err := config.Parse("test.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	snap, err := snapshot.Of(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return New(Options{Prometheus: f, Routing: routing.Of(cfg.Map(), snap), Job: "oci-proxy", Window: 2 * time.Minute, Every: 15 * time.Second})
}

func candidate(t *testing.T, v *view.View, name string) *view.Candidate {
	t.Helper()
	for i := range v.Candidates {
		if v.Candidates[i].Name == name {
			return &v.Candidates[i]
		}
	}
	t.Fatalf("no candidate %s", name)
	return nil
}

// TestView: a console that starts while a store is out knows since when, and where its traffic went, from the hour that
// Prometheus has. When the store is back, it says so.
func TestView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		f := &fake{from: now.Add(-10 * time.Minute), to: now.Add(5 * time.Minute)}
		s := source(t, f)
		v, err := s.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		va := candidate(t, v, "va")
		if since := va.Since.Sub(f.from); va.State != view.Out || va.Out != 2 || va.Of != 2 || since < 0 || since > view.Step || va.Before {
			t.Errorf("va is %+v, out since %s after", va, since)
		}
		if len(va.Moved) != 1 || va.Moved[0].To != "us" || va.Moved[0].Extra < 431 || va.Moved[0].Extra > 433 { // 3600 × 12 cents
			t.Errorf("moved %+v", va.Moved)
		}
		if !v.Fleet || v.Serving.Level != view.Warning || !strings.Contains(v.Serving.Text, "2 of 3 instances are ready, and 1 cannot be scraped") {
			t.Errorf("serving %+v", v.Serving)
		}
		if v.Config.Hash != "abababababab" || v.Config.From != "generation 7 of the ring all" {
			t.Errorf("config %+v", v.Config)
		}
		if len(v.Totals.Values) < view.Points-2 || len(v.Gaps) != 0 || v.Money.Hour < 431 || v.Money.Hour > 433 || len(v.Flows) != 1 || v.Flows[0].Cents < 11.9 {
			t.Errorf("%d points, gaps %q, money %+v, flows %+v", len(v.Totals.Values), v.Gaps, v.Money, v.Flows)
		}
		if quiet := candidate(t, v, "quiet"); quiet.State != view.NotKnown || !quiet.Spot.Known {
			t.Errorf("quiet %+v", quiet)
		}
		candidate(t, v, "<script>")
		<-time.After(5 * time.Minute)
		v, err = s.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		va = candidate(t, v, "va")
		if va.State != view.In || len(v.Events) != 2 || !strings.HasPrefix(v.Events[0].Text, "is back in service after 15m") {
			t.Errorf("%+v, events %+v", va, v.Events)
		}
	})
}

// TestShared: all who look share one answer, and Prometheus is asked at most every 15 s.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		s := source(t, f)
		var g sync.WaitGroup
		for range 100 {
			g.Go(func() {
				if _, err := s.View(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		g.Wait()
		if f.asked != len(queries) || f.ranges != 2*len(queries) {
			t.Errorf("%d queries and %d of the past, want %d and twice as many", f.asked, f.ranges, len(queries))
		}
		<-time.After(16 * time.Second)
		if _, err := s.View(t.Context()); err != nil || f.asked != 2*len(queries) || f.ranges != 2*len(queries) {
			t.Errorf("then %d and %d, %v", f.asked, f.ranges, err)
		}
	})
}

// TestFaults: an answer in part leaves gaps, and without an answer the last view says how old it is.
func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{down: errors.New("connection refused")}
		s := source(t, f)
		if v, err := s.View(t.Context()); err == nil {
			t.Errorf("a view of nothing: %+v", v)
		}
		f.down, f.broken = nil, "ociproxy_redirected_bytes_total"
		v, err := s.View(t.Context())
		if err != nil || len(v.Gaps) != 2 || v.Gaps[0] != "Prometheus does not say: bytes." || v.Gaps[1] != "too slow" {
			t.Errorf("gaps %q, %v", v.Gaps, err)
		}
		good := v.At
		f.broken, f.down = "", errors.New("connection refused")
		<-time.After(2 * time.Minute)
		v, err = s.View(t.Context())
		if err != nil || !v.At.Equal(good) || len(v.Problems) == 0 || !strings.Contains(v.Problems[0].Text, "2m0s old: connection refused") {
			t.Errorf("%+v, %v", v.Problems, err)
		}
		f.down = nil
		<-time.After(16 * time.Second)
		v, err = s.View(t.Context())
		if err != nil || !v.At.After(good) || strings.Contains(v.Problems[0].Text, "does not answer") {
			t.Errorf("after that: %+v, %v", v.Problems, err)
		}
	})
	if _, err := source(t, &fake{}).wrongJob().View(t.Context()); !errors.Is(err, errEmpty) {
		t.Errorf("another job: %v", err)
	}
}

func (s *Source) wrongJob() *Source {
	s.opt.Job = "other"
	return s
}
