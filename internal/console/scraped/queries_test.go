package scraped

import (
	"context"
	"regexp"
	"slices"
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

// TestNames: the queries are about metrics and labels that the server has.
func TestNames(t *testing.T) {
	known := map[string][]string{"up": nil, "process_start_time_seconds": nil}
	ch := make(chan *client.Desc)
	go func() {
		defer close(ch)
		metrics.New("test").Registry.Describe(ch)
	}()
	desc := regexp.MustCompile(`fqName: "(\w+)".*constLabels: \{(.*)\}, variableLabels: \{(.*)\}`)
	for d := range ch {
		if m := desc.FindStringSubmatch(d.String()); m != nil {
			known[m[1]] = regexp.MustCompile(`\w+`).FindAllString(m[2]+","+m[3], -1)
		}
	}
	for _, q := range queries {
		m := regexp.MustCompile(`(\w+)\{JOB(.*?)\}`).FindStringSubmatch(q.text)
		if m == nil {
			t.Fatalf("%s: no metric in %s", q.name, q.text)
		}
		has, ok := known[m[1]]
		if !ok {
			t.Errorf("%s: no server has the metric of %s", q.name, q.text)
		}
		var used []string
		if by := regexp.MustCompile(`by \((.*?)\)`).FindStringSubmatch(q.text); by != nil {
			used = regexp.MustCompile(`\w+`).FindAllString(by[1], -1)
		}
		for _, match := range regexp.MustCompile(`(\w+)[!=]`).FindAllStringSubmatch(m[2], -1) {
			used = append(used, match[1])
		}
		for _, label := range used {
			if !slices.Contains(has, label) {
				t.Errorf("%s: %s has the labels %q, and not %s", q.name, m[1], has, label)
			}
		}
	}
}
