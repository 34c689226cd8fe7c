package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/report"
	"ociproxy/internal/rollup/rolluptest"
	"ociproxy/internal/traffic"
)

// reported runs report with --output json.
func reported(t *testing.T, args ...string) *report.Report {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), append([]string{"report", "--output", "json"}, args...), emptyEnv, nil, &stdout, &stderr); code != 0 {
		t.Fatalf("report %s: exit code %d: %s", strings.Join(args, " "), code, &stderr)
	}
	r := &report.Report{}
	if err := json.Unmarshal(stdout.Bytes(), r); err != nil {
		t.Fatal(err)
	}
	return r
}

const learnConfig = `version: 1
location: gcp/us-central1
ranges: {cache: "", feeds: [], overrides: [{cidr: 203.0.113.0/24, place: aws/us-east-1}]}
upstreams:
  - {name: main, url: "https://main.example.org", place: gcp/us-central1, canonical: true}
stores:
  - {name: s3-use1, place: aws/us-east-1, url: "https://blobs-use1.s3.us-east-1.amazonaws.com/{digest}", bucket: "s3://blobs-use1?region=us-east-1", serves: [aws]}
`

// pulls writes a day of both logs: how many downloads of a MiB each program makes. It cuts a part of them in the middle.
func pulls(rnd *rand.Rand, day int, mix map[string]int, lost float64) (proxy, store string, sent float64) {
	cuts := map[string]float64{"containerd/2.1": 0.05, "curl/8": 0.8}
	var p, s strings.Builder
	for _, agent := range []string{"containerd/2.1", "curl/8"} {
		for i := range mix[agent] {
			const size = 1 << 20
			got := size
			if rnd.Float64() < cuts[agent] {
				got /= 2
			}
			sent += float64(got)
			digest := fmt.Sprintf("sha256:%064x", i%7)
			fmt.Fprintf(&p, `{"time":"2026-10-%02[1]dT04:00:00Z","level":"INFO","msg":"request","method":"GET","kind":"blob","status":307,"weight":1,`+
				`"name":"team/app","reference":%[2]q,"client":"203.0.113.9","place":"aws/us-east-1","candidate":"s3-use1","reason":"nearest",`+
				`"bytes":%[3]d,"size":%[3]d,"user_agent":%[4]q}`+"\n", day, digest, size, agent)
			if i%4 == 0 { // canonical has no log
				fmt.Fprintf(&p, `{"time":"2026-10-%02[1]dT04:00:00Z","level":"INFO","msg":"request","method":"GET","kind":"blob","status":307,"weight":1,`+
					`"name":"team/app","reference":%[2]q,"client":"203.0.113.9","place":"aws/us-east-1","candidate":"main","reason":"absent",`+
					`"bytes":%[3]d,"size":%[3]d,"user_agent":%[4]q}`+"\n", day, digest, size, agent)
			}
			if rnd.Float64() >= lost {
				fmt.Fprintf(&s, "9a1e blobs-use1 [%02[1]d/Oct/2026:04:00:00 +0000] 203.0.113.9 - %016[2]X REST.GET.OBJECT %[3]s \"GET /%[3]s HTTP/1.1\" 200 - %[4]d %[5]d 1 1 \"-\" %[6]q - "+
					"h= - C - blobs-use1.s3.us-east-1.amazonaws.com TLSv1.3 - - us-east-1\n", day, rnd.Uint64(), digest, got, size, agent)
			}
		}
	}
	return p.String(), s.String(), sent
}

// TestLearn: factors of days with both logs correct what the proxy's log says of a day with other programs. A day with a
// damaged log teaches nothing, and days that were learned from stay as the store's log has them.
func TestLearn(t *testing.T) {
	t.Chdir(t.TempDir())
	rnd := rand.New(rand.NewPCG(1, 2))
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("config.yaml", learnConfig)
	var learnedSent float64
	for day := 1; day <= 4; day++ {
		lost := 0.0
		if day == 4 {
			lost = 0.1
		}
		proxy, store, sent := pulls(rnd, day, map[string]int{"containerd/2.1": 1500, "curl/8": 700}, lost)
		write(fmt.Sprintf("proxy-2026-10-%02d.jsonl", day), proxy)
		write(fmt.Sprintf("s3-2026-10-%02d.log", day), store)
		if day < 4 {
			learnedSent += sent
		}
	}
	proxy, _, sent := pulls(rnd, 6, map[string]int{"containerd/2.1": 300, "curl/8": 1500}, 0)
	write("proxy-2026-10-06.jsonl", proxy)
	args := []string{"--config", "config.yaml", "--logs", "proxy-*.jsonl", "--logs", "s3-*.log", "--begin", "2026-10-01", "--end", "2026-10-07", "--per", "day"}
	of := func(r *report.Report, store string, days ...string) (sum float64) {
		for _, f := range r.Flows {
			if f.Store == store && slices.Contains(days, f.Period) {
				sum += f.Bytes
			}
		}
		return sum
	}

	plain := reported(t, args...)
	if off := of(plain, "s3-use1", "2026-10-06")/sent - 1; off < 0.3 || len(plain.Delivered) > 0 {
		t.Fatalf("without factors it is %.1f %% off: the test proves nothing", 100*off)
	}
	r := reported(t, append(args, "--learn", "2026-10-01..2026-10-05")...)
	if off := of(r, "s3-use1", "2026-10-06")/sent - 1; math.Abs(off) > 0.02 {
		t.Errorf("with factors it is %.1f %% off", 100*off)
	}
	if got := of(r, "s3-use1", "2026-10-01", "2026-10-02", "2026-10-03"); got != learnedSent {
		t.Errorf("the days that were learned from have %.0f bytes, want %.0f of the store's log", got, learnedSent)
	}
	if got := of(r, "main", "2026-10-06"); got >= of(plain, "main", "2026-10-06") || got < sent/8 {
		t.Errorf("canonical has %.0f bytes, without factors %.0f", got, of(plain, "main", "2026-10-06"))
	}
	if got, asked := of(r, "main", "2026-10-02"), of(plain, "main", "2026-10-02"); got >= asked*0.95 {
		t.Errorf("canonical, which has no log, has %.0f of %.0f bytes on a day that was learned from", got, asked)
	}
	i := slices.IndexFunc(r.Delivered, func(d report.Delivered) bool { return d.Store == "s3-use1" })
	if i < 0 {
		t.Fatalf("%+v says nothing of s3-use1", r.Delivered)
	}
	// The fourth day teaches nothing, so that it is corrected, too.
	d := r.Delivered[i]
	if !slices.Equal(d.Learned, []string{"2026-10-01", "2026-10-02", "2026-10-03"}) || d.First != "2026-10-04" || d.Last != "2026-10-06" || d.Days != 2 {
		t.Errorf("%+v", d)
	}
	if d.Error <= 0 || d.Error > 0.05 || math.Abs(d.Sent/d.Asked-d.Factor) > 1e-9 {
		t.Errorf("%+v", d)
	}
	if !slices.ContainsFunc(r.Warnings, func(w string) bool { return strings.Contains(w, "learn: the log of s3-use1 of 2026-10-04 has ") }) {
		t.Errorf("no warning of the fourth day: %q", r.Warnings)
	}

	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), append([]string{"report", "focus", "--learn", "2026-10-01..2026-10-05"}, args...), emptyEnv, nil, &stdout, &stderr); code != 0 {
		t.Fatalf("report focus: exit code %d: %s", code, &stderr)
	}
	if billed, rows := r.Months[0].With.USD, charged(t, &stdout); math.Abs(billed-rows) > 1e-9 || rows == plain.Months[0].With.USD {
		t.Errorf("with factors report focus has $%g, report $%g", rows, billed)
	}

	ran := func(want int, what string, more ...string) {
		t.Helper()
		stdout.Reset()
		stderr.Reset()
		code := run(t.Context(), append([]string{"report"}, more...), emptyEnv, nil, &stdout, &stderr)
		if text := stdout.String() + stderr.String(); code != want || !strings.Contains(text, what) {
			t.Errorf("report %s: exit code %d, want %d and %q in\n%s", strings.Join(more, " "), code, want, what, text)
		}
	}
	ran(0, "as learned from 2026-10-01 to 2026-10-03 (3 days).", append(args, "--learn", "2026-10-01..2026-10-05")...)
	ran(1, "nothing can be learned from these days", append(args, "--learn", "2026-10-04..2026-10-05")...)
	ran(2, "names no days", append(args, "--learn", "2026-10-05")...)
	ran(2, "names no days", append(args, "--learn", "2026-10-05..2026-10-05")...)
	ran(2, "stdin can be read once", "--config", "config.yaml", "--logs", "-", "--learn", "2026-10-01..2026-10-05")
	ran(2, "--learn needs logs", "--config", "config.yaml", "--rollup", "x", "--learn", "2026-10-01..2026-10-05")
}

// charged sums cost data.
func charged(t *testing.T, in io.Reader) (usd float64) {
	t.Helper()
	records, err := csv.NewReader(in).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := slices.Index(records[0], "EffectiveCost")
	for _, r := range records[1:] {
		one, err := strconv.ParseFloat(r[column], 64)
		if err != nil {
			t.Fatal(err)
		}
		usd += one
	}
	return usd
}

// TestRollupsSayWhatLogsSay: a report from logs and one from the roll-ups of the same logs have the same figures.
func TestRollupsSayWhatLogsSay(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("config.yaml", []byte(rolluptest.Config), 0o600); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(5, 6))
	if err := os.Mkdir("logs", 0o700); err != nil {
		t.Fatal(err)
	}
	first := traffic.Day(20788) // 2026-12-01
	for d := range traffic.Day(4) {
		lines := rolluptest.Lines(rnd, first+d*10, 500, 50) // into the next month
		lines = append(lines, lines[:50]...)                // delivered twice
		if err := os.WriteFile(filepath.Join("logs", fmt.Sprintf("%s-00-00-00-A", first+d*10)), rolluptest.Text(lines), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	days := []string{"--config", "config.yaml", "--begin", "2026-12-01", "--end", "2027-01-15"}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), append([]string{"report", "rollup", "--logs", "logs", "--into", "rolled"}, days...), emptyEnv, nil, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	logs, rolled := reported(t, append(days, "--logs", "logs")...), reported(t, append(days, "--rollup", "rolled")...)
	logs.Warnings, rolled.Warnings = nil, nil // duplicates are told where logs are read
	if d := cmp.Diff(logs, rolled, cmp.AllowUnexported(report.Report{})); d != "" {
		t.Errorf("-logs +roll-ups:\n%s", d)
	}
	if len(rolled.Months) != 2 || len(rolled.Objects) != 50 {
		t.Errorf("%d months and %d blobs", len(rolled.Months), len(rolled.Objects))
	}
	if part := reported(t, "--config", "config.yaml", "--begin", "2026-12-11", "--end", "2026-12-12", "--rollup", "rolled"); part.Periods[0].Requests != 500 {
		t.Errorf("a day of the roll-ups has %g requests", part.Periods[0].Requests)
	}
}
