package scraped

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/console/view"
	"ociproxy/internal/prometheus"
)

// part is a Prometheus that has no answer to one query, or a strange one.
type part struct {
	fake
	now, past string // the whole query without an answer
	odd       string // the query whose answer is value
	value     float64
}

func (p *part) Query(ctx context.Context, text string, at time.Time) ([]prometheus.Sample, error) {
	switch text {
	case p.now:
		return nil, errors.New("too slow")
	case p.odd:
		labels := map[string]string{"candidate": "va", "feed": "f", "cloud": "aws", "region": "us-east-1"}
		return []prometheus.Sample{{Labels: labels, Value: p.value}}, nil
	}
	return p.fake.Query(ctx, text, at)
}

func (p *part) QueryRange(ctx context.Context, text string, from, to time.Time, step time.Duration) ([]prometheus.Series, error) {
	if text == p.past {
		return nil, errors.New("too slow")
	}
	return p.fake.QueryRange(ctx, text, from, to, step)
}

// TestPart: what one query did not tell, now or of the past, must not look like an outage, nor like a change.
func TestPart(t *testing.T) {
	for i := range queries {
		for _, late := range []bool{false, true} {
			t.Run(queries[i].name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testPart(t, &queries[i], late) })
			})
		}
	}
}

func testPart(t *testing.T, q *query, late bool) {
	p := &part{}
	s := source(t, &fake{})
	s.opt.Prometheus = p
	text := q.in(s.opt.Job, s.opt.Window)
	if !late {
		p.past = text
	}
	v, err := s.View(t.Context())
	if late && err == nil {
		p.now = text
		<-time.After(16 * time.Second)
		v, err = s.View(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	for i := range v.Candidates {
		if c := &v.Candidates[i]; c.State != view.In && c.Name != "quiet" {
			t.Errorf("%s is %s, out on %d of %d", c.Name, c.State, c.Out, c.Of)
		}
	}
	if v.Serving.Level != view.Warning || !strings.HasPrefix(v.Serving.Text, "2 of 3 instances are ready, and 1 cannot") {
		t.Errorf("serving %+v", v.Serving)
	}
	if len(v.Events) > 0 {
		t.Errorf("events %+v", v.Events)
	}
	if len(v.Gaps) == 0 {
		t.Error("nothing says that there was no answer")
	}
}

// TestStrangeValues: a number that no instance exports does no harm, and none for ever.
func TestStrangeValues(t *testing.T) {
	for i := range queries {
		for _, value := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e300, -1} {
			synctest.Test(t, func(t *testing.T) {
				s := source(t, &fake{})
				p := &part{odd: queries[i].in(s.opt.Job, s.opt.Window), value: value}
				s.opt.Prometheus = p
				for n := range 8 {
					if n == 2 {
						p.odd = ""
					}
					v, err := s.View(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					strange(t, queries[i].name, value, v)
					<-time.After(16 * time.Second)
				}
			})
		}
	}
}

func strange(t *testing.T, name string, value float64, v *view.View) {
	t.Helper()
	for what, f := range map[string]float64{"requests": v.Serving.Requests, "errors": v.Serving.Errors, "dollars": v.Money.Hour, "saved": v.Money.Saved,
		"of the hour": v.Money.LastHour} {
		if math.IsNaN(f) || math.IsInf(f, 0) {
			t.Errorf("%s = %v: %s %v", name, value, what, f)
		}
	}
	for i := range v.Candidates {
		if c := &v.Candidates[i]; c.Out < 0 || c.Out > c.Of || math.IsNaN(c.Rate.Bytes) || math.IsInf(c.Rate.Bytes, 0) {
			t.Errorf("%s = %v: %+v", name, value, c)
		}
	}
	for _, at := range []time.Time{v.Serving.Started, v.Config.Loaded} {
		if _, err := at.MarshalJSON(); err != nil {
			t.Errorf("%s = %v: %v", name, value, err)
		}
	}
	if v.Serving.Ready < 0 || v.Serving.Instances < 0 {
		t.Errorf("%s = %v: %+v", name, value, v.Serving)
	}
}

// hung is a Prometheus that never answers.
type hung struct{ asked chan struct{} }

func (h *hung) String() string { return "" }

func (h *hung) Query(ctx context.Context, _ string, _ time.Time) ([]prometheus.Sample, error) {
	h.asked <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (h *hung) QueryRange(ctx context.Context, _ string, _, _ time.Time, _ time.Duration) ([]prometheus.Series, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestHung: nobody waits longer than they want, and those who wait together share one try.
func TestHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hung{make(chan struct{}, 1000)}
		s := source(t, &fake{})
		s.opt.Prometheus = h
		took := make(chan time.Duration, 10)
		begun := time.Now()
		for i := range cap(took) {
			go func() {
				limit := time.Minute
				if i%2 == 0 {
					limit = time.Second
				}
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				if _, err := s.View(ctx); err == nil {
					t.Error("a view of nothing")
				}
				took <- time.Since(begun)
			}()
		}
		for i := range cap(took) {
			want := time.Second
			if i >= cap(took)/2 {
				want = asking
			}
			if got := <-took; got != want {
				t.Errorf("%d waited %s, want %s", i, got, want)
			}
		}
		if n := len(h.asked); n > len(queries) {
			t.Errorf("%d queries, want one try of %d", n, len(queries))
		}
	})
}
