package loop

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// turn is one turn of a test.
type turn struct {
	takes  time.Duration
	report string // the result; "" is an error
}

var outcomes = map[string]Outcome{"good": Good, "bad": Ended, "cut": Cut}

// course is a loop that runs the given turns, and then hangs until it is stopped.
type course struct {
	*Loop[string]
	t        *testing.T
	begin    time.Time
	starts   []time.Duration
	reported []string
	marks    any
	stop     func()
	stopped  chan struct{}
}

// run starts a loop in the bubble of a synctest.
func run(t *testing.T, every time.Duration, last string, turns ...turn) *course {
	ctx, cancel := context.WithCancel(t.Context())
	c := &course{t: t, begin: time.Now(), stop: cancel, stopped: make(chan struct{})}
	c.Loop = New(Options[string]{
		Every: every, Unit: "lap", Metrics: numbers{}, Mark: func() any { return c.marks },
		Judge:  func(r string) (string, Outcome) { return r, outcomes[r] },
		Report: func(r string, err error) { c.reported = append(c.reported, fmt.Sprintf("%s%v", r, err)) },
		Turn: func(ctx context.Context) (string, error) {
			now := turn{1000 * time.Hour, last}
			if n := len(c.starts); n < len(turns) {
				now = turns[n]
			}
			c.starts = append(c.starts, time.Since(c.begin))
			timer := time.NewTimer(now.takes)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
			if now.report == "" {
				return "", errors.New("no lap")
			}
			return now.report, nil
		},
	})
	go func() {
		defer close(c.stopped)
		c.Run(ctx)
	}()
	t.Cleanup(c.end)
	synctest.Wait()
	return c
}

func (c *course) end() {
	c.stop()
	<-c.stopped
}

// at waits until d after the beginning.
func (c *course) at(d time.Duration) {
	c.t.Helper()
	<-time.After(time.Until(c.begin.Add(d)))
	synctest.Wait()
}

// want compares the answers of the probes.
func (c *course) want(live, ready bool) {
	c.t.Helper()
	for path, want := range map[string]bool{"/-/live": live, "/-/ready": ready} {
		code, body := get(c.t, c, path)
		text := map[bool]string{true: "ok\n", false: map[string]string{
			"/-/live": "nothing has moved for three intervals\n", "/-/ready": "no lap has ended for three intervals\n",
		}[path]}[want]
		if (code == 200) != want || code != 200 && code != 503 || body != text {
			c.t.Errorf("%s after %s: %d %q, want %q", path, time.Since(c.begin), code, body, text)
		}
	}
}

func get(t *testing.T, l interface{ Handler() http.Handler }, path string) (int, string) {
	rec := httptest.NewRecorder()
	l.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return rec.Code, rec.Body.String()
}

// A turn begins one interval after the last one began, or at once if that time has passed.
func TestStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := run(t, time.Hour, "cut", turn{time.Minute, "good"}, turn{90 * time.Minute, "bad"}, turn{time.Minute, ""}, turn{0, "good"})
		c.at(5 * time.Hour)
		c.end()
		const m = time.Minute
		want := []time.Duration{0, 60 * m, 150 * m, 210 * m, 270 * m}
		if !slices.Equal(c.starts, want) {
			t.Errorf("turns began after %v, want %v", c.starts, want)
		}
		if diff := cmp.Diff([]string{"good<nil>", "bad<nil>", "no lap", "good<nil>", "cut<nil>"}, c.reported); diff != "" {
			t.Errorf("reports (-want +got)\n%s", diff)
		}
	})
}

// The test checks what each outcome means for the state of the loop.
func TestState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := run(t, time.Hour, "cut", turn{time.Minute, "bad"}, turn{time.Minute, "good"}, turn{time.Minute, ""}, turn{time.Minute, "cut"})
		want := State[string]{Turns: map[string]int64{}, Running: true}
		check := func(at time.Duration) {
			t.Helper()
			c.at(at)
			got := c.State()
			if !maps.Equal(got.Turns, want.Turns) {
				t.Errorf("turns: %v, want %v", got.Turns, want.Turns)
			}
			got.Turns[""]++ // no other results
			if got.Running != want.Running || got.Last != want.Last || !got.Ended.Equal(want.Ended) || !got.Good.Equal(want.Good) {
				t.Errorf("after %s: %+v, want %+v", at, got, want)
			}
		}
		check(0)
		want.Running, want.Last, want.Turns["bad"], want.Ended = false, "bad", 1, c.begin.Add(time.Minute)
		check(2 * time.Minute)
		want.Last, want.Turns["good"], want.Ended = "good", 1, c.begin.Add(61*time.Minute)
		want.Good = want.Ended
		check(62 * time.Minute)
		want.Turns[FailedResult] = 1
		check(122 * time.Minute)
		want.Turns["cut"] = 1
		check(182 * time.Minute)
		want.Running = true
		check(242 * time.Minute)
	})
}

// A turn without a report that is interrupted by the end of the loop does not count. One that has a report is
// reported.
func TestStop(t *testing.T) {
	for last, want := range map[string][]string{"": {"good<nil>"}, "cut": {"good<nil>", "cut<nil>"}} {
		synctest.Test(t, func(t *testing.T) {
			c := run(t, time.Hour, last, turn{time.Minute, "good"})
			c.at(2 * time.Hour)
			c.end()
			if diff := cmp.Diff(want, c.reported); diff != "" || c.State().Turns[FailedResult] != 0 {
				t.Errorf("%v; reports (-want +got)\n%s", c.State(), diff)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // between turns
		c := run(t, time.Hour, "", turn{time.Minute, "good"})
		c.at(30 * time.Minute)
		c.end()
		if time.Since(c.begin) != 30*time.Minute || len(c.starts) != 1 {
			t.Errorf("it ended after %s and %d turns", time.Since(c.begin), len(c.starts))
		}
	})
	synctest.Test(t, func(t *testing.T) { // before the first
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		New(Options[int]{Every: time.Hour, Turn: func(context.Context) (int, error) { panic("a turn") }}).Run(ctx)
	})
}

// A loop is ready while turns finish. It is live while anything moves: turns that end badly, marks that change, and
// calls of Moved.
func TestProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := run(t, time.Hour, "good", turn{time.Minute, "bad"})
		c.want(true, true)
		c.at(3*time.Hour + time.Minute) // three hours since the end of the first turn; the second hangs
		c.want(true, true)
		c.at(3*time.Hour + 2*time.Minute)
		c.want(false, false)
		c.Moved()
		c.want(true, false)
		c.at(6*time.Hour + 3*time.Minute)
		c.want(false, false)
		c.marks = [2]int{1, 2}
		c.want(true, false)
		c.at(9*time.Hour + 4*time.Minute)
		c.want(false, false) // the same mark is not progress
		c.marks = [2]int{1, 3}
		c.want(true, false)
	})
	synctest.Test(t, func(t *testing.T) { // failures end turns, but do not make the loop ready
		c := run(t, time.Hour, "good", turn{0, ""}, turn{0, "cut"}, turn{0, ""}, turn{0, ""}, turn{0, ""})
		c.at(3 * time.Hour)
		c.want(true, true)
		c.at(3*time.Hour + time.Second)
		c.want(true, false)
	})
}

// numbers is a collector of each kind of number.
type numbers struct{}

var (
	countDesc = prometheus.NewDesc("test_count", ".", []string{"of"}, nil)
	gaugeDesc = prometheus.NewDesc("test_gauge", ".", []string{"of"}, nil)
	timeDesc  = prometheus.NewDesc("test_time", ".", nil, nil)
	noneDesc  = prometheus.NewDesc("test_none", ".", nil, nil)
)

func (numbers) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{countDesc, gaugeDesc, timeDesc, noneDesc} {
		out <- d
	}
}

func (numbers) Collect(out chan<- prometheus.Metric) {
	to := Sink(out)
	to.Count(countDesc, 3, "laps")
	to.Gauge(gaugeDesc, 1.5, "speed")
	to.Flag(gaugeDesc, true, "yes")
	to.Flag(gaugeDesc, false, "no")
	to.Time(timeDesc, time.Unix(7, 5))
	to.Time(noneDesc, time.Time{}) // must give 0, not the year 1
}

// The metrics are the loop's own, those of the Go runtime and of the process.
func TestMetrics(t *testing.T) {
	l := New(Options[int]{Every: time.Hour, Metrics: numbers{}})
	code, text := get(t, l, "/metrics")
	for _, want := range []string{
		"# TYPE test_count counter\n", `test_count{of="laps"} 3` + "\n", "# TYPE test_gauge gauge\n", `test_gauge{of="speed"} 1.5` + "\n",
		`test_gauge{of="yes"} 1` + "\n", `test_gauge{of="no"} 0` + "\n", "test_time 7\n", "test_none 0\n",
		"go_goroutines ", "process_start_time_seconds ", "go_build_info{",
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("status %d, and no %s", code, want)
		}
	}
	if code, _ := get(t, l, "/other"); code != 404 {
		t.Errorf("/other: %d", code)
	}
}
