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

	mu    sync.Mutex // of the next three
	shown *view.View
	tried time.Time // the last try, good or not
	under *round    // who looks together shares it; nil: nobody asks

	// One round at a time uses the rest.
	last   time.Time // the time of the last sample
	counts map[record.Way]record.Count
	served record.Count // Redirects: requests, Bytes: errors
	failed time.Time    // since when Prometheus does not answer; zero: it does
	unread unread
	said   map[string]said // by the name of the query
}

// round is one try to make a view. Its results may be read when done is closed.
type round struct {
	done chan struct{}
	v    *view.View
	err  error
}

// said is the last answer to a query.
type said struct {
	at     time.Time
	values []prometheus.Sample
}

// lasting is how long the last answer to a query counts while there is no newer one, as a sample does in Prometheus.
const lasting = 5 * time.Minute

// essential are the queries that mean something only together: without one of them, every candidate would look out.
var essential = []string{up, instances, ready, usable, reported}

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

// standing are the queries about what is so until it changes.
var standing = []string{returning, frozen, configs, loaded, refused, fallback, overrides}

// New returns a source.
func New(opt Options) *Source {
	return &Source{opt: opt, counts: map[record.Way]record.Count{}, said: map[string]said{}}
}

var errSlow = errors.New("no answer of Prometheus yet: try again in a few seconds")

var errEmpty = errors.New("it has no samples of this job: is --job right?")

// View implements [view.Source]. While Prometheus does not answer, it returns the last view, which says so.
func (s *Source) View(ctx context.Context) (*view.View, error) {
	s.mu.Lock()
	v, r := s.shown, s.under
	if v != nil && (r != nil || time.Since(s.tried) < s.opt.Every) {
		s.mu.Unlock()
		return v, nil
	}
	if r == nil {
		r = &round{done: make(chan struct{})}
		s.under = r
		// The first one who looks may be gone before there is an answer. The others want it.
		go s.try(context.WithoutCancel(ctx), r)
	}
	s.mu.Unlock()
	select {
	case <-r.done:
		return r.v, r.err
	case <-ctx.Done():
	}
	if v != nil {
		return v, nil
	}
	return nil, fmt.Errorf("%w: %w", errSlow, ctx.Err())
}

// try makes the next view.
func (s *Source) try(ctx context.Context, r *round) {
	ctx, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	r.v, r.err = s.next(ctx, time.Now())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried, s.under = time.Now(), nil
	if r.err == nil {
		s.shown = r.v
	}
	close(r.done)
}

func (s *Source) next(ctx context.Context, now time.Time) (*view.View, error) {
	err := s.refresh(ctx, now)
	if err == nil {
		s.failed = time.Time{}
		return s.recorder.View(ctx)
	}
	if s.failed.IsZero() {
		s.failed = now
	}
	old, _ := s.recorder.View(ctx)
	if old == nil {
		return nil, err
	}
	return s.stale(old, now, err), nil
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
// It asks for the present first, which is worth more.
func (s *Source) refresh(ctx context.Context, now time.Time) error {
	got, gaps, errs, err := each(ctx, s, func(ctx context.Context, text string) ([]prometheus.Sample, error) {
		return s.opt.Prometheus.Query(ctx, text, now)
	})
	switch {
	case err != nil:
		return err
	case lacks(got):
		return fmt.Errorf("%s %w", strings.Join(gaps, " "), errs[0])
	case len(got[instances]) == 0 && len(got[reported]) == 0:
		return errEmpty
	}
	s.remember(now, got)
	for _, e := range errs {
		gaps = append(gaps, view.Bounded(e.Error()))
	}
	if now.Sub(s.last) > 2*s.opt.Every+view.Step {
		s.catchUp(ctx, now, got)
	}
	if gap := s.unread.gap(now); gap != "" {
		gaps = append(gaps, gap)
	}
	s.observe(now, got, gaps)
	return nil
}

// lacks reports whether there is no answer to an essential query. An empty answer is one.
func lacks[T any](got map[string][]T) bool {
	return slices.ContainsFunc(essential, func(name string) bool { _, ok := got[name]; return !ok })
}

// remember completes answers by the last ones to queries that have none now. Otherwise what nobody said would look as if
// it had ended.
func (s *Source) remember(now time.Time, got answers) {
	for i := range queries {
		name := queries[i].name
		if values, ok := got[name]; ok {
			s.said[name] = said{now, values}
		} else if last, ok := s.said[name]; ok && now.Sub(last.at) <= lasting {
			got[name] = last.values
		}
	}
}

// catchUp takes samples of the time before now. Without them there is no history, and the present all the same.
func (s *Source) catchUp(ctx context.Context, now time.Time, present answers) {
	ctx, cancel := context.WithTimeout(ctx, askingPast)
	defer cancel()
	from := now.Add(-past).Truncate(view.Step)
	if s.last.After(from) {
		from = s.last.Truncate(view.Step).Add(view.Step)
	}
	lately := now.Add(-fine).Truncate(fineStep) // the last minute is what rates are measured over
	first := s.last.IsZero()
	early := s.backfill(ctx, from, lately.Add(-fineStep), view.Step, present)
	late := s.backfill(ctx, lately, now.Add(-fineStep/2), fineStep, present)
	if err := cmp.Or(early, late); err != nil || first {
		s.unread = unread{now, err}
	}
}

// answers are the samples of each query.
type answers map[string][]prometheus.Sample

// each asks all queries, a few at once. What has no answer is a gap, and the first error is among errs; err says that
// nothing has an answer.
func each[T any](ctx context.Context, s *Source, one func(context.Context, string) ([]T, error)) (got map[string][]T, gaps []string, errs []error, err error) {
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
	got = map[string][]T{}
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

// backfill takes samples of the past, one each step. An error says that at least one query has no answer; what is not
// counted is taken from the present then, so that nothing seems to have changed.
func (s *Source) backfill(ctx context.Context, from, to time.Time, step time.Duration, present answers) error {
	if !from.Before(to) {
		return nil
	}
	got, _, errs, err := each(ctx, s, func(ctx context.Context, text string) ([]prometheus.Series, error) {
		return s.opt.Prometheus.QueryRange(ctx, text, from, to, step)
	})
	switch {
	case err != nil:
		return err
	case lacks(got):
		return errs[0]
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
		if then := time.UnixMilli(ms); len(at[ms][instances]) > 0 && then.After(s.last) {
			for _, name := range standing {
				if _, ok := got[name]; !ok {
					at[ms][name] = present[name]
				}
			}
			s.observe(then, at[ms], nil)
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
			if v := one.Value * took.Seconds(); v >= 0 && v < most && (known || len(next) < maxWays) {
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

// most is more than any sum, count or time is. Beyond it somebody else exports such a metric, and one infinite value would
// make every later sum infinite.
const most = 1e15

// whole returns a count.
func whole(v float64) int {
	if v >= 0 && v < most {
		return int(v)
	}
	return 0
}

// moment returns a Unix time; zero: it is none, or later than the year 9999, which JSON does not have.
func moment(v float64) (t time.Time) {
	if v > 0 && v < 253402300800 {
		t = time.Unix(int64(v), 0).UTC()
	}
	return t
}

// one returns the only sample of a query; 0: there is none.
func (a answers) one(name string) float64 {
	if list := a[name]; len(list) > 0 && math.Abs(list[0].Value) < most {
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
