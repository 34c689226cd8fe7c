package truth

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/report"
	"ociproxy/internal/traffic"
	"ociproxy/test/ctl"
	"ociproxy/test/parts"
	"ociproxy/test/prometheus"
)

// files are the logs of several days, for the program.
type files struct{ dir string }

func (f files) add(t *testing.T, day *recording, l logs) {
	t.Helper()
	for name, text := range l {
		if err := os.WriteFile(filepath.Join(f.dir, fmt.Sprintf("%s-%s", name, day.day)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// run runs the program's report of a day.
func (f files) run(t *testing.T, day traffic.Day, more ...string) *account {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config.yaml")
	var places strings.Builder
	for _, c := range clients {
		if !c.place.IsZero() {
			fmt.Fprintf(&places, "    - {cidr: %q, place: %s}\n", c.prefix, c.place)
		}
	}
	text := reportConfig + "ranges:\n  cache: \"\"\n  feeds: []\n  overrides:\n" + places.String()
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ran := ctl.Run(t, ctl.Limit, nil, append([]string{"report", "--config", config, "--logs", f.dir, "--begin", day.String(), "--end", (day + 1).String(),
		"--per", "day", "--output", "json"}, more...)...)
	if ran.Code != 0 {
		t.Fatal(ran)
	}
	r := ctl.Decode[report.Report](t, ran.Stdout)
	return &account{Report: &r}
}

// commanded judges what the program itself prints: from the stores' logs, from the proxy's log and from the counters of a real
// Prometheus, the last two with factors of other days.
func commanded(t *testing.T, scraped *prometheus.Server, day *recording, truth cells, learned ...*recording) {
	stores := files{t.TempDir()}
	stores.add(t, day, day.logs.stores())
	if wrong := truth.off(t, "report of the stores' logs", stores.run(t, day.day).cells(), 1000); len(wrong) > 0 {
		t.Errorf("more than 2 %% off:\n%s", strings.Join(wrong, "\n"))
	}
	both := files{t.TempDir()}
	for _, d := range learned {
		both.add(t, d, d.logs)
	}
	learn := []string{"--learn", fmt.Sprintf("%s..%s", learned[0].day, learned[len(learned)-1].day+1)}
	both.add(t, day, day.logs.only(proxyLog))
	got := both.run(t, day.day, learn...)
	if wrong := truth.joined().off(t, "report of the proxy's log", got.cells(), enough); len(wrong) > 0 || len(got.Delivered) == 0 {
		t.Errorf("more than 2 %% off, or nothing was corrected:\n%s", strings.Join(wrong, "\n"))
	}
	// Of a log that is a sample the counters count.
	both.add(t, day, mostOf(day.logs))
	got = both.run(t, day.day, append(learn, "--prometheus", scraped.URL)...)
	for _, c := range got.Sources {
		if c.Count != traffic.FromPrometheus && c.Store != canonical {
			t.Errorf("%s: %s counts: %s", c.Store, c.Count, c.Why)
		}
	}
	if wrong := truth.joined().off(t, "report of Prometheus", got.cells(), enough); len(wrong) > 0 {
		t.Errorf("more than 2 %% off:\n%s", strings.Join(wrong, "\n"))
	}
}

// mostOf returns the proxy's log as log.requests 0.999 writes it.
func mostOf(l logs) logs {
	var out strings.Builder
	n := 0
	for line := range strings.Lines(l[proxyLog]) {
		if n++; n%1000 != 0 {
			out.WriteString(strings.Replace(line, `"weight":1,`, fmt.Sprintf(`"weight":%g,`, 1000.0/999), 1))
		}
	}
	return logs{proxyLog: out.String()}
}

// scrapes starts a Prometheus that has scraped the proxy at least once. It scrapes often, because increase() of Prometheus adds
// half of the time between two scrapes at both ends, which is nothing in a day and much in a minute.
func (w *world) scrapes(t *testing.T) *prometheus.Server {
	t.Helper()
	s := prometheus.Start(t, 250*time.Millisecond, prometheus.Target{Addr: w.proxy.Admin})
	w.scraped(t, s)
	return s
}

// scraped waits until Prometheus has what the proxy counted.
func (w *world) scraped(t *testing.T, s *prometheus.Server) {
	t.Helper()
	want := 0.0
	for _, n := range w.counters(t) {
		want += n
	}
	parts.Poll(t, 30*time.Second, "Prometheus has what the proxy counted", func() error {
		got := 0.0
		samples, err := s.Query(fmt.Sprintf("ociproxy_redirected_bytes_total{candidate!=%q}", canonical))
		if err != nil {
			return err
		}
		for _, one := range samples {
			got += one.Value
		}
		if got < want {
			return fmt.Errorf("it has %.0f of %.0f bytes", got, want)
		}
		return nil
	})
}

// settled waits until what increase() adds at both ends is little beside what the proxy counted between two times: on a busy
// machine scrapes are late, so it adds more. The longer nothing is counted, the less it adds.
func (w *world) settled(t *testing.T, s *prometheus.Server, before, after map[cell]float64) {
	t.Helper()
	for k, n := range after {
		expr := fmt.Sprintf("sum(increase(ociproxy_redirected_bytes_total{candidate=%q,cloud=%q}[1h]))", k.store, k.cloud)
		parts.Poll(t, 3*time.Minute, "increase() is near what the proxy counted", func() error {
			samples, err := s.Query(expr)
			if err != nil {
				return err
			}
			if len(samples) != 1 || math.Abs(ratio(samples[0].Value, n-before[k])) > limit/4 {
				return fmt.Errorf("%v: %v of %.0f bytes", k, samples, n-before[k])
			}
			return nil
		})
	}
}
