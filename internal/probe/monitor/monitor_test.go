package monitor

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/probe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scrape returns the metrics.
func scrape(t *testing.T, m *Monitor) string {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	if rec.Code != 200 {
		t.Fatalf("/metrics: %d %s", rec.Code, rec.Body)
	}
	return rec.Body.String()
}

// run runs a monitor in virtual time. The function that it returns waits until d after the beginning; the monitor ends
// with the test.
func run(t *testing.T, opt Options) (m *Monitor, at func(d time.Duration)) {
	ctx, cancel := context.WithCancel(t.Context())
	m = New(opt)
	begin, done := time.Now(), make(chan struct{})
	go func() {
		defer close(done)
		m.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return m, func(d time.Duration) {
		<-time.After(time.Until(begin.Add(d)))
		synctest.Wait()
	}
}

func find(check string, proof probe.Proof, r judge.Result) probe.Finding {
	return probe.Finding{Check: check, As: "self", Image: "pause:1", Host: "s3.example", Proof: proof, Result: r, Seconds: 0.2, Bytes: 100}
}

// Whole layers are read in the first run and once a day, decisions in every run. The state of the paths stays until the
// next run that reads them, and only paths count as paths.
func TestPathsAndDecisions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var whole []time.Duration
		var starts []time.Duration
		begin := time.Now()
		var bad atomic.Bool
		running := 0
		m, at := run(t, Options{
			Name: "r.example", Vantage: "here", Every: time.Minute, PathEvery: 24 * time.Hour, DayBytes: 1 << 30,
			Run: func(ctx context.Context, read bool, _ int64, _ func()) (*probe.Report, error) {
				if running++; running > 1 {
					t.Error("two runs at once")
				}
				defer func() { running-- }()
				starts = append(starts, time.Since(begin))
				<-time.After(10 * time.Second)
				r := &probe.Report{Cost: probe.Cost{Requests: 3, Bytes: 1000, Seconds: 10}, Classes: []string{"self"}}
				result := judge.OK
				if bad.Load() {
					result, r.Errors = judge.Failed, 1
				}
				r.Findings = []probe.Finding{find("redirect", probe.Decision, result), find("ping", "", judge.OK)}
				if read {
					whole = append(whole, time.Since(begin))
					r.Findings = append(r.Findings, find("layer", probe.Path, judge.OK))
				}
				return r, nil
			},
		})
		at(90 * time.Second)
		text := scrape(t, m)
		for _, want := range []string{
			`ociproxy_probe_check_success{as="self",check="layer",host="s3.example",image="pause:1",name="r.example",proof="path",vantage="here"} 1`,
			`ociproxy_probe_check_success{as="self",check="ping",host="s3.example",image="pause:1",name="r.example",proof="",vantage="here"} 1`,
			`ociproxy_probe_check_bytes_per_second{as="self",check="layer",host="s3.example",image="pause:1",name="r.example",proof="path",vantage="here"} 500`,
			`ociproxy_probe_decisions_total{as="self",name="r.example",result="error",vantage="here"} 0`,
			`ociproxy_probe_decisions_total{as="self",name="r.example",result="ok",vantage="here"} 2`,
			`ociproxy_probe_paths_total{image="pause:1",name="r.example",result="ok",vantage="here"} 1`,
			`ociproxy_probe_redirect_seconds_bucket{name="r.example",vantage="here",le="0.25"} 2`,
			`ociproxy_probe_redirect_seconds_bucket{name="r.example",vantage="here",le="0.1"} 0`,
			`ociproxy_probe_runs_total{name="r.example",result="passed",vantage="here"} 2`,
			`ociproxy_probe_requests_total{name="r.example",vantage="here"} 6`,
			`ociproxy_probe_day_bytes{name="r.example",vantage="here"} 2000`,
		} {
			if !strings.Contains(text, "\n"+want+"\n") {
				t.Errorf("metrics lack %s", want)
			}
		}
		bad.Store(true)
		at(3 * time.Minute)
		text = scrape(t, m)
		for _, want := range []string{
			`check_success{as="self",check="redirect",host="s3.example",image="pause:1",name="r.example",proof="decision",vantage="here"} 0`,
			`runs_total{name="r.example",result="errors",vantage="here"} 1`,
			`paths_total{image="pause:1",name="r.example",result="ok",vantage="here"} 1`, // a decision is no path
		} {
			if !strings.Contains(text, "ociproxy_probe_"+want+"\n") {
				t.Errorf("metrics lack %s", want)
			}
		}
		bad.Store(false)
		at(49 * time.Hour)
		if len(whole) != 3 || whole[1] < 24*time.Hour || whole[2] > 49*time.Hour {
			t.Errorf("whole layers were read %d times, first at %v", len(whole), whole[:min(len(whole), 3)])
		}
		for i := 1; i < len(starts); i++ {
			if gap := starts[i] - starts[i-1]; gap < 50*time.Second || gap > 70*time.Second {
				t.Fatalf("run %d began %s after the one before", i, gap)
			}
		}
		if slices.Compact(slices.Clone(starts[1:10]))[0] == time.Minute {
			t.Error("there is no jitter")
		}
	})
}

// A class, image or host that is gone leaves no series behind.
func TestStaleSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		m, at := run(t, Options{Every: time.Minute, DayBytes: 1 << 30,
			Run: func(context.Context, bool, int64, func()) (*probe.Report, error) {
				n++
				f := find("redirect", probe.Decision, judge.OK)
				f.Host = fmt.Sprintf("host-%d.example", n)
				return &probe.Report{Findings: []probe.Finding{f}, Hosts: []probe.HostReport{{Host: f.Host, Kind: "blob", FirstByte: 0.1}}}, nil
			}})
		at(3 * time.Minute)
		text := scrape(t, m)
		if last := fmt.Sprintf("host-%d.example", n); !strings.Contains(text, last) || strings.Contains(text, "host-1.example") {
			t.Errorf("after %d runs:\n%s", n, text)
		}
	})
}

// The bytes of a day are a bound. When they are spent there is no run until they are free again, which is a failure that
// alerts and /-/ready show.
func TestDayBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var may []int64
		var errs []error
		m, at := run(t, Options{Every: time.Hour, DayBytes: 1000,
			Run: func(_ context.Context, _ bool, bytes int64, _ func()) (*probe.Report, error) {
				may = append(may, bytes)
				return &probe.Report{Cost: probe.Cost{Bytes: min(bytes, 400)}}, nil
			},
			Report: func(_ *probe.Report, err error) { errs = append(errs, err) },
		})
		at(20*time.Hour + 30*time.Minute)
		if !slices.Equal(may, []int64{1000, 600, 200}) {
			t.Errorf("runs may read %v", may)
		}
		if err := errs[len(errs)-1]; !errors.Is(err, ErrSpent) || !strings.Contains(err.Error(), "2000-01-02 00:0") {
			t.Errorf("%v", err)
		}
		if text := scrape(t, m); !strings.Contains(text, "ociproxy_probe_day_bytes{name=\"\",vantage=\"\"} 1000\n") {
			t.Error("day_bytes is wrong")
		}
		// The runs have a jitter. The next one is when the bytes of the first run are free again, or of the first two.
		at(26 * time.Hour)
		if len(may) < 4 || may[3] != 400 && may[3] != 800 {
			t.Errorf("after a day runs may read %v", may)
		}
	})
}

// What redirects and many classes can make grow has a bound.
func TestBounds(t *testing.T) {
	r := &probe.Report{}
	for i := range 2 * maxSeries {
		f := find("redirect", probe.Decision, judge.OK)
		f.Host, f.As = fmt.Sprintf("h%d.example", i), fmt.Sprintf("class %d", i)
		r.Findings = append(r.Findings, f)
		r.Hosts = append(r.Hosts, probe.HostReport{Host: f.Host + "\xff", Kind: "blob", FirstByte: 1, TLSUntil: time.Now(), BytesPerSecond: 1})
		r.Hosts = append(r.Hosts, probe.HostReport{Host: f.Host + "\xfe", Kind: "blob", FirstByte: 1})
	}
	m := New(Options{Every: time.Hour, DayBytes: 1})
	m.ended(r, false)
	m.ended(r, false)
	text := scrape(t, m)
	for metric, most := range map[string]int{"check_success": maxSeries, "decisions_total": (maxAs + 1) * len(results), "host_bytes_per_second": maxHosts} {
		if n := strings.Count(text, "\nociproxy_probe_"+metric+"{"); n > most || n == 0 && metric != "host_bytes_per_second" {
			t.Errorf("%s has %d series, want at most %d", metric, n, most)
		}
	}
	if want := fmt.Sprintf("ociproxy_probe_series_dropped{name=\"\",vantage=\"\"} %d\n", maxSeries); !strings.Contains(text, want) {
		t.Errorf("metrics lack %s", want)
	}
	hosts := map[string]bool{}
	for _, c := range m.last.checks {
		hosts[c.host] = true
	}
	if len(hosts) > maxHosts+1 {
		t.Errorf("%d hosts", len(hosts))
	}
}
