package mirror

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Loop makes one pass after the other.
type Loop struct {
	// Every is the time from the start of one pass to the start of the next. A pass that takes longer is followed at once.
	Every time.Duration
	// Pass makes one pass: it opens what it needs, calls running with the pass, runs it and closes everything. The error says that there
	// was no pass at all.
	Pass func(ctx context.Context, running func(*Pass)) (*Report, error)
	// Report is told how each pass ended; nil ignores it.
	Report func(*Report, error)

	watch watch
}

// patience is how many intervals may go by without news.
const patience = 3

// Run makes passes until ctx ends.
func (l *Loop) Run(ctx context.Context) {
	l.watch.begin(time.Now())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		if ctx.Err() != nil { // both at once
			return
		}
		start := time.Now()
		r, err := l.Pass(ctx, l.watch.running)
		l.watch.ended(r, err, time.Now())
		if l.Report != nil {
			l.Report(r, err)
		}
		timer.Reset(max(0, l.Every-time.Since(start)))
	}
}

// watch is what is known of a loop's passes.
type watch struct {
	mu      sync.Mutex
	current *Pass
	sums    sums    // of the finished passes
	last    *Report // of the last finished pass
	at      time.Time
	success time.Time // when the last pass was done without faults

	finished time.Time // when a pass ended last, or the loop began
	moved    time.Time // when something was seen to go on
	mark     [4]int64  // of the progress then
}

func (w *watch) begin(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.finished, w.moved = now, now
}

func (w *watch) running(p *Pass) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.current = p
}

func (w *watch) ended(r *Report, err error, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.current = nil
	w.moved = now
	w.sums.init()
	if err != nil || r == nil {
		w.sums.passes[Failed]++
		return
	}
	w.sums.add(r)
	w.sums.passes[r.Result]++
	if r.Result == Interrupted {
		return
	}
	w.last, w.at, w.finished = r, now, now
	if r.Result == Done {
		w.success = now
	}
}

// ready says whether a pass has ended within the last three intervals.
func (w *watch) ready(every time.Duration, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return now.Sub(w.finished) <= patience*every
}

// live says whether anything went on within the last three intervals: a pass over empty stores may take days, and is not to be killed.
func (w *watch) live(every time.Duration, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current != nil {
		p := w.current.Progress()
		if mark := [4]int64{p.Images, p.Blobs, p.Read, p.Requests}; mark != w.mark {
			w.mark, w.moved = mark, now
		}
	}
	return now.Sub(w.moved) <= patience*every
}

// Handler answers /metrics, /-/live and /-/ready. It is for operators, not for the public.
func (l *Loop) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(newRegistry(&l.watch), promhttp.HandlerOpts{}))
	probe := func(good func(time.Duration, time.Time) bool, bad string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			if !good(l.Every, time.Now()) {
				rw.WriteHeader(http.StatusServiceUnavailable)
				_, _ = rw.Write([]byte(bad + "\n"))
				return
			}
			_, _ = rw.Write([]byte("ok\n"))
		}
	}
	mux.HandleFunc("GET /-/live", probe(l.watch.live, "nothing has moved for three intervals"))
	mux.HandleFunc("GET /-/ready", probe(l.watch.ready, "no pass has ended for three intervals"))
	return mux
}
