// Package scraped makes the console's view of a fleet from what Prometheus scraped of its instances. At its start it
// asks for the last hour, and then for the present.
//
// It knows the metrics of the server and how they become samples. It must not know how a view is shown, flags.
package scraped

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ociproxy/internal/console/record"
	"ociproxy/internal/console/routing"
	"ociproxy/internal/console/view"
	"ociproxy/internal/prometheus"
)

// Options configure a [Source].
type Options struct {
	// Prometheus is asked for the present, and once for the last hour.
	Prometheus interface {
		Query(ctx context.Context, expression string, at time.Time) ([]prometheus.Sample, error)
		QueryRange(ctx context.Context, expression string, from, to time.Time, step time.Duration) ([]prometheus.Series, error)
		String() string
	}
	// Routing is of the config that the fleet uses.
	Routing *routing.Facts
	// Job is the value of the label job of all instances.
	Job string
	// Window is the time over which rates are measured: at least four times as long as the interval of scrapes.
	Window time.Duration
	// Every is how often Prometheus is asked, at most. All who look share the answers.
	Every time.Duration
	// Docs is as in [view.View].
	Docs string
}

const (
	// asking is for all queries of one view, and askingPast for those of the past. queue of them are asked at once.
	asking, askingPast, queue = 20 * time.Second, 10 * time.Second, 4
	past                      = time.Hour
	// The last fine minute of the past is asked for in smaller steps.
	fine, fineStep = time.Minute, 5 * time.Second
	// maxCandidates and maxWays bound what is taken from labels.
	maxCandidates, maxWays = 256, 5000
)

// Source is a [view.Source]. It asks Prometheus only while somebody looks.
type Source struct {
	opt      Options
	recorder record.Recorder

	shown atomic.Pointer[view.View]

	mu     sync.Mutex // of those who look together, one asks
	tried  time.Time  // the last try, good or not
	last   time.Time  // the time of the last sample
	counts map[record.Way]record.Count
	served record.Count // Redirects: requests, Bytes: errors
	failed time.Time    // since when Prometheus does not answer; zero: it does
	unread unread
}

// unread is a time of the past that Prometheus did not tell about.
type unread struct {
	until time.Time
	err   error
}

// gap says what is not known of the last hour; "": nothing.
func (u unread) gap(now time.Time) string {
	if u.err == nil || now.Sub(u.until) > past {
		return ""
	}
	return view.Bounded(fmt.Sprintf("The time before %s UTC is not all known, because Prometheus did not answer: %v. Start the console again to ask again.",
		u.until.UTC().Format(time.TimeOnly), u.err))
}

// New returns a source.
func New(opt Options) *Source { return &Source{opt: opt, counts: map[record.Way]record.Count{}} }

var errEmpty = errors.New("it has no samples of this job: is --job right?")

// View implements [view.Source]. While Prometheus does not answer, it returns the last view, which says so.
func (s *Source) View(ctx context.Context) (*view.View, error) {
	if !s.mu.TryLock() { // somebody asks
		if v := s.shown.Load(); v != nil {
			return v, nil
		}
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	now := time.Now()
	if v := s.shown.Load(); v != nil && now.Sub(s.tried) < s.opt.Every {
		return v, nil
	}
	// The first one who looks may be gone before there is an answer. The others want it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), asking)
	defer cancel()
	err := s.refresh(ctx, now)
	s.tried = time.Now()
	if err == nil {
		s.failed = time.Time{}
		v, err := s.recorder.View(ctx)
		s.shown.Store(v)
		return v, err
	}
	if s.failed.IsZero() {
		s.failed = now
	}
	old, _ := s.recorder.View(ctx)
	if old == nil {
		return nil, err
	}
	v := s.stale(old, now, err)
	s.shown.Store(v)
	return v, nil
}

// stale returns the last view, with the problem that there is no newer one.
func (s *Source) stale(old *view.View, now time.Time, err error) *view.View {
	v := *old
	text := fmt.Sprintf("Prometheus does not answer, and all figures are %s old: %v", now.Sub(old.At).Round(time.Second), err)
	v.Problems = slices.Concat([]view.Problem{{Level: view.Unknown, Text: view.Bounded(text), Since: s.failed}}, old.Problems)
	v.Gaps = slices.Concat(old.Gaps, []string{view.Bounded(text)})
	return &v
}

// refresh takes the next samples: of the past hour, if there is none yet or a longer time is missing, and of the present.
func (s *Source) refresh(ctx context.Context, now time.Time) error {
	if now.Sub(s.last) > 2*s.opt.Every+view.Step {
		from := now.Add(-past).Truncate(view.Step)
		if s.last.After(from) {
			from = s.last.Truncate(view.Step).Add(view.Step)
		}
		// Without these there is no history, and the present all the same. The last minute is what rates are measured over.
		lately := now.Add(-fine).Truncate(fineStep)
		// So they get a part of the time: a Prometheus that is slow with an hour may be quick with the present.
		before, cancel := context.WithTimeout(ctx, askingPast)
		first := s.last.IsZero()
		early := s.backfill(before, from, lately.Add(-fineStep), view.Step)
		late := s.backfill(before, lately, now.Add(-fineStep/2), fineStep)
		cancel()
		if err := cmp.Or(early, late); err != nil || first {
			s.unread = unread{now, err}
		}
	}
	got, gaps, err := s.ask(ctx, func(ctx context.Context, text string) ([]prometheus.Sample, error) {
		return s.opt.Prometheus.Query(ctx, text, now)
	})
	if err != nil {
		return err
	}
	if len(got[instances]) == 0 && len(got[reported]) == 0 {
		return errEmpty
	}
	if gap := s.unread.gap(now); gap != "" {
		gaps = append(gaps, gap)
	}
	s.observe(now, got, gaps)
	return nil
}

// answers are the samples of each query.
type answers map[string][]prometheus.Sample

// ask asks all queries. What has no answer is a gap; err says that nothing has one.
func (s *Source) ask(ctx context.Context, one func(context.Context, string) ([]prometheus.Sample, error)) (answers, []string, error) {
	got, gaps, errs, err := each(ctx, s, one)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range errs {
		gaps = append(gaps, view.Bounded(e.Error()))
	}
	return got, gaps, nil
}

// each asks all queries, a few at once.
func each[T any](ctx context.Context, s *Source, one func(context.Context, string) ([]T, error)) (map[string][]T, []string, []error, error) {
	type answer struct {
		values []T
		err    error
	}
	list := make([]answer, len(queries))
	var g sync.WaitGroup
	room := make(chan struct{}, queue)
	for i := range queries {
		g.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			list[i].values, list[i].err = one(ctx, queries[i].in(s.opt.Job, s.opt.Window))
		})
	}
	g.Wait()
	got := map[string][]T{}
	var gaps []string
	var errs []error
	for i, a := range list {
		if a.err != nil {
			if gap := "Prometheus does not say: " + queries[i].what + "."; !slices.Contains(gaps, gap) {
				gaps = append(gaps, gap)
			}
			errs = append(errs, a.err)
			continue
		}
		got[queries[i].name] = a.values
	}
	if len(errs) == len(queries) {
		return nil, nil, nil, errs[0]
	}
	return got, gaps, errs[:min(1, len(errs))], nil
}

// backfill takes samples of the past, one each step. An error says that at least one query has no answer.
func (s *Source) backfill(ctx context.Context, from, to time.Time, step time.Duration) error {
	if !from.Before(to) {
		return nil
	}
	got, _, errs, err := each(ctx, s, func(ctx context.Context, text string) ([]prometheus.Series, error) {
		return s.opt.Prometheus.QueryRange(ctx, text, from, to, step)
	})
	if err != nil {
		return err
	}
	at := map[int64]answers{} // by ms
	for name, list := range got {
		for _, one := range list {
			for _, p := range one.Points {
				ms := p.At.UnixMilli()
				if at[ms] == nil {
					at[ms] = answers{}
				}
				at[ms][name] = append(at[ms][name], prometheus.Sample{Labels: one.Labels, Value: p.Value})
			}
		}
	}
	times := make([]int64, 0, len(at))
	for ms := range at {
		times = append(times, ms)
	}
	slices.Sort(times)
	for _, ms := range times {
		if moment := time.UnixMilli(ms); len(at[ms][instances]) > 0 && moment.After(s.last) {
			s.observe(moment, at[ms], nil)
		}
	}
	return errors.Join(errs...)
}

// observe gives the recorder one sample.
func (s *Source) observe(at time.Time, got answers, gaps []string) {
	took := at.Sub(s.last)
	if s.last.IsZero() || took > 4*max(view.Step, s.opt.Every) {
		took = 0 // nobody knows what was before
	}
	s.last = at
	s.count(got, took)
	sample := &record.Sample{Counts: s.counts, Requests: s.served.Redirects, Errors: s.served.Bytes,
		Spot: s.opt.Routing.Spot, Canonical: s.opt.Routing.Canonical, Holding: got.holding()}
	sample.View = view.View{At: at, Name: "fleet of the job " + view.Bounded(s.opt.Job), Fleet: true, Every: s.opt.Every, Docs: s.opt.Docs, Gaps: gaps,
		Serving: got.serving(), Candidates: got.candidates(s.opt.Routing), Feeds: got.feeds(), Config: got.config(s.opt.Prometheus.String()), Problems: got.problems()}
	s.recorder.Observe(sample)
}

// count adds what flowed in a time to the counters.
func (s *Source) count(got answers, took time.Duration) {
	next := make(map[record.Way]record.Count, len(s.counts))
	for w, c := range s.counts {
		next[w] = c
	}
	add := func(name string, to func(*record.Count, float64)) {
		for _, one := range got[name] {
			w := record.Way{From: view.Bounded(routing.Name(one.Labels["cloud"], one.Labels["region"])), To: view.Bounded(one.Labels["candidate"])}
			c, known := next[w]
			if v := one.Value * took.Seconds(); v >= 0 && (known || len(next) < maxWays) {
				to(&c, v)
				next[w] = c
			}
		}
	}
	add(redirects, func(c *record.Count, v float64) { c.Redirects += v })
	add(bytes, func(c *record.Count, v float64) { c.Bytes += v })
	add(dollars, func(c *record.Count, v float64) { c.Dollars += v })
	s.counts = next
	s.served.Redirects += max(0, got.one(requests)) * took.Seconds()
	s.served.Bytes += max(0, got.one(failures)) * took.Seconds()
}

// one returns the only sample of a query; 0: there is none.
func (a answers) one(name string) float64 {
	if list := a[name]; len(list) > 0 && !math.IsNaN(list[0].Value) {
		return list[0].Value
	}
	return 0
}

// by returns the samples of a query by a label.
func (a answers) by(name, label string) map[string]float64 {
	out := map[string]float64{}
	for _, one := range a[name] {
		if len(out) < maxCandidates {
			out[one.Labels[label]] = one.Value
		}
	}
	return out
}

func (a answers) holding() (out []string) {
	for _, one := range a[overrides] {
		l := one.Labels
		text := strings.TrimSpace(l["action"] + " " + l["candidate"])
		out = append(out, view.Bounded(text+" by "+l["by"]+" (override "+l["id"]+")"))
	}
	slices.Sort(out)
	return out[:min(len(out), maxCandidates)]
}
