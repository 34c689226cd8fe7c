package scraped

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

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
	})
}
