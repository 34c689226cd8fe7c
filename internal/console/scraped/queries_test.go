package scraped

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	client "github.com/prometheus/client_golang/prometheus"

	"ociproxy/internal/metrics"
	"ociproxy/internal/prometheus"
)

// slowPast is a Prometheus that answers for the present, and never for the past.
type slowPast struct{ fake }

func (f *slowPast) Query(ctx context.Context, text string, at time.Time) ([]prometheus.Sample, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return f.fake.Query(ctx, text, at)
}

func (f *slowPast) QueryRange(ctx context.Context, _ string, _, _ time.Time, _ time.Duration) ([]prometheus.Series, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestSlowPast: without an answer for the past hour there is the present all the same.
func TestSlowPast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := source(t, &fake{})
		s.opt.Prometheus = &slowPast{}
		v, err := s.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		candidate(t, v, "va")
		if len(v.Gaps) != 1 || !strings.Contains(v.Gaps[0], "UTC is not all known") {
			t.Errorf("gaps %q", v.Gaps)
		}
	})
}

// TestNames: the queries are about metrics that the server has.
func TestNames(t *testing.T) {
	known := map[string]bool{"up": true, "process_start_time_seconds": true}
	ch := make(chan *client.Desc)
	go func() {
		defer close(ch)
		metrics.New("test").Registry.Describe(ch)
	}()
	for d := range ch {
		if m := regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(d.String()); m != nil {
			known[m[1]] = true
		}
	}
	for _, q := range queries {
		m := regexp.MustCompile(`(\w+)\{JOB`).FindStringSubmatch(q.text)
		if m == nil || !known[m[1]] {
			t.Errorf("%s: no server has the metric of %s", q.name, q.text)
		}
	}
}
