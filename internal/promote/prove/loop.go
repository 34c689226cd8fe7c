package prove

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Loop looks at production for ever.
type Loop struct {
	// Every is the time from the start of one look to the start of the next. A look that takes longer is followed at once.
	Every time.Duration
	// Look reads the manifests anew and compares. The error says that nothing can be said.
	Look func(ctx context.Context, progress func(done, of int64)) (*Report, error)
	// Report is told how each look ended; nil ignores it.
	Report func(*Report, error)

	watch watch
}

// patience is how many intervals may go by without news.
const patience = 3

// Run looks until ctx ends.
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
		start := time.Now()
		l.watch.running(true)
		r, err := l.Look(ctx, l.watch.progress)
		if ctx.Err() != nil {
			return // half a look says nothing
		}
		l.watch.ended(r, err, time.Now())
		if l.Report != nil {
			l.Report(r, err)
		}
		timer.Reset(max(0, l.Every-time.Since(start)))
	}
}

// Handler answers /metrics, /-/live and /-/ready. It is for operators, not for the public.
func (l *Loop) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(newRegistry(&l.watch), promhttp.HandlerOpts{}))
	probe := func(last func() time.Time, bad string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			if time.Since(last()) > patience*l.Every {
				rw.WriteHeader(http.StatusServiceUnavailable)
				_, _ = rw.Write([]byte(bad + "\n"))
				return
			}
			_, _ = rw.Write([]byte("ok\n"))
		}
	}
	mux.HandleFunc("GET /-/live", probe(l.watch.lastMove, "nothing has moved for three intervals"))
	mux.HandleFunc("GET /-/ready", probe(l.watch.lastEnd, "no look has ended for three intervals"))
	return mux
}

// Result is how a look ended: a closed set, for it is a metric's label.
type Result string

// The results.
const (
	Clean  Result = "clean"  // production is what the manifests say
	Faulty Result = "faulty" // something was found
	Failed Result = "failed" // nothing can be said
)

// watch is what is known of a loop's looks.
type watch struct {
	mu      sync.Mutex
	busy    bool
	looks   map[Result]int64
	asked   int64
	last    *Report
	at      time.Time // when the last look ended that was not a failure, or zero
	success time.Time // when the last clean one ended, or zero

	over  time.Time // when a look ended, or the loop began
	moved time.Time // when something was seen to go on
}

func (w *watch) begin(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks = map[Result]int64{}
	w.over, w.moved = now, now
}

func (w *watch) running(busy bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy = busy
}

func (w *watch) progress(int64, int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.moved = time.Now()
}

func (w *watch) ended(r *Report, err error, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy, w.moved = false, now
	if err != nil || r == nil {
		w.looks[Failed]++
		return
	}
	w.last, w.at, w.over = r, now, now
	for _, n := range r.Asked {
		w.asked += n
	}
	if r.Clean() {
		w.looks[Clean]++
		w.success = now
	} else {
		w.looks[Faulty]++
	}
}

func (w *watch) lastMove() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.moved
}

func (w *watch) lastEnd() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.over
}
