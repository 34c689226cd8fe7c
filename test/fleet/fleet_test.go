package fleet

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/fleet"
	"ociproxy/internal/plan"
	"ociproxy/internal/prometheus"
	"ociproxy/internal/traffic"
	"ociproxy/test/ctl"
	"ociproxy/test/parts"
	server "ociproxy/test/prometheus"
)

// flow is a counter of each instance that grows evenly.
type flow struct {
	cloud, region, candidate, reason string
	perSecond                        float64
}

var flows = []flow{
	{"aws", "us-east-1", "s3", "nearest", 2},
	{"aws", "us-east-1", "main", "absent", 0.05},
	{"", "", "main", "last-resort", 0.01},
	{"other", "", "other", "nearest", 0.02},
}

const (
	scrape = 60  // seconds
	size   = 2e8 // bytes of a blob
	day    = 24 * 60 * 60
	reset  = 100_000 // seconds after the beginning of the first day, at which one instance restarts
	gap    = 150_000 // from which Prometheus saw nothing for two hours
	gapEnd = gap + 7200
)

var begin = time.Date(2025, 11, 10, 0, 0, 0, 0, time.UTC)

// TestRead reads two days of two instances from a real Prometheus. One instance restarts, and its counters begin at 0
// again. Prometheus is away for two hours.
func TestRead(t *testing.T) {
	s := server.Serve(t, blocks(t))
	client, err := prometheus.New(s.URL, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	first := traffic.DayOf(begin)
	days, err := fleet.Read(t.Context(), client, first-1, first+2, begin.AddDate(0, 0, 10), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(days) != 3 || days[0].Seen > 0.01 {
		t.Fatalf("%d days, and an instance was seen in %g of the day before the first", len(days), days[0].Seen)
	}
	for i, d := range days[1:] {
		if want := []float64{1, 1 - 7200.0/day}[i]; math.Abs(d.Seen-want) > 0.02 {
			t.Errorf("%s: an instance was seen in %g of the day, want %g", d.Day, d.Seen, want)
		}
		if len(d.Rows) != len(flows) {
			t.Errorf("%s: %d rows, want %d", d.Day, len(d.Rows), len(flows))
		}
		for _, r := range d.Rows {
			// The restart loses what was counted since the last scrape. The counters went on while Prometheus was away.
			want := 2 * perSecond(t, &r) * day
			if math.Abs(r.Requests-want) > want*0.002 || math.Abs(r.Bytes-want*size) > want*size*0.002 {
				t.Errorf("%s %s → %s: %g requests and %g bytes, want %g and %g", d.Day, r.Client, r.Store, r.Requests, r.Bytes, want, want*size)
			}
			if r.Store == fleet.OtherFlows && !r.Client.IsZero() {
				t.Errorf("flows that were counted together are from %s", r.Client)
			}
		}
	}
	plans(t, s.URL)
}

const planned = `version: 1
ranges: {cache: "", feeds: [{provider: aws}]}
upstreams:
  - {name: main, url: "https://main.example", place: gcp/us-central1, canonical: true}
stores:
  - {name: s3, place: aws/us-east-1, url: "https://b-use1.s3.us-east-1.amazonaws.com/{digest}", bucket: "s3://b-use1?region=us-east-1", serves: [aws]}
`

// plans takes the demand of a plan from the same days. A month has 365.25/12 days as these two.
func plans(t *testing.T, url string) {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(config, []byte(planned), 0o600); err != nil {
		t.Fatal(err)
	}
	r := ctl.Run(t, time.Minute, nil, "plan", "--config", config, "--prometheus", url, "--begin", "2025-11-10", "--end", "2025-11-12",
		"--stored", "10TB", "--max-stores", "1", "--output", "json")
	if r.Code != 0 || !strings.Contains(r.Stderr, " % of 2025-11-11: the demand is too low") {
		t.Fatalf("%v", r)
	}
	p := ctl.Decode[plan.Plan](t, r.Stdout)
	all := 0.0
	for _, f := range flows {
		all += 2 * f.perSecond * size * day * plan.Month / 1e12
	}
	if math.Abs(p.TBMonth-all) > all*0.002 || p.Places != 2 {
		t.Errorf("%g TB a month from %d places, want %g from aws/us-east-1 and clients whose place nobody knows", p.TBMonth, p.Places, all)
	}
	if p.Best == nil || len(p.Best.Regions) != 1 || p.Best.Regions[0].Place != "aws/us-east-1" || !p.Best.Proven {
		t.Errorf("the best set is %+v, want the store at the clients, proven", p.Best)
	}
}

func perSecond(t *testing.T, r *traffic.Row) float64 {
	t.Helper()
	for _, f := range flows {
		if f.candidate == r.Store && f.reason == r.Reason {
			return f.perSecond
		}
	}
	t.Errorf("no flow to %s because of %s", r.Store, r.Reason)
	return 0
}

// blocks makes a database of what two instances counted.
func blocks(t *testing.T) (dir string) {
	t.Helper()
	promtool := parts.Find(t, "promtool")
	var text strings.Builder
	each := func(metric, kind, ending string, labels string, value func(instance string, second int) float64) {
		fmt.Fprintf(&text, "# TYPE %s %s\n", metric, kind)
		for _, f := range flows {
			if kind == "gauge" && f != flows[0] {
				break
			}
			for _, instance := range []string{"a", "b"} {
				for second := -10 * scrape; second <= 2*day+10*scrape; second += scrape {
					if second > gap && second < gapEnd || second < 0 && kind == "gauge" {
						continue
					}
					at := labels
					if at == "" {
						at = fmt.Sprintf(`cloud=%q,region=%q,candidate=%q,reason=%q`, f.cloud, f.region, f.candidate, f.reason)
					}
					fmt.Fprintf(&text, "%s%s{instance=%q,%s} %g %d\n", metric, ending, instance, at, f.perSecond*value(instance, second), begin.Unix()+int64(second))
				}
			}
		}
	}
	counted := func(instance string, second int) float64 {
		if instance == "b" && second >= reset {
			return float64(second - reset)
		}
		return float64(second + 10*scrape)
	}
	each("ociproxy_redirects", "counter", "_total", "", counted)
	each("ociproxy_redirected_bytes", "counter", "_total", "", func(i string, s int) float64 { return size * counted(i, s) })
	each("ociproxy_config_info", "gauge", "", `hash="x"`, func(string, int) float64 { return 1 })
	text.WriteString("# EOF\n")
	dir = t.TempDir()
	file := filepath.Join(dir, "metrics.txt")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	if out, err := exec.CommandContext(t.Context(), promtool, "tsdb", "create-blocks-from", "openmetrics", "--quiet", file, data).CombinedOutput(); err != nil {
		t.Fatalf("promtool: %v\n%s", err, out)
	}
	return data
}
