package rollups

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"ociproxy/internal/rollup"
	"ociproxy/internal/rollup/rolluptest"
	"ociproxy/internal/store"
	"ociproxy/internal/traffic"
	"ociproxy/test/ctl"
	"ociproxy/test/parts"
	"ociproxy/test/s3"
)

// Cases wait more than they compute.
func TestMain(m *testing.M) { parts.Together(m, 4) }

const firstDay traffic.Day = 20788 // 2026-12-01

// report is what report rollup prints.
type report struct {
	Made    int   `json:"made"`
	ByOther int   `json:"byOther"`
	Same    int   `json:"same"`
	Others  int   `json:"others"`
	Spilled int64 `json:"bytesSpilled"`
	Counts  rollup.Counts
	Failed  []any
}

func config(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(rolluptest.Config), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func args(config, logs, into string, more ...string) []string {
	return append([]string{"report", "rollup", "--config", config, "--logs", logs, "--into", into, "--begin", "2026-12-01", "--end", "2026-12-20",
		"--output", "json", "--progress", "none"}, more...)
}

func rows(t *testing.T, from string, env func(string) string) (rows []traffic.Row) {
	t.Helper()
	for r, err := range rollup.Read(t.Context(), from, rollup.Options{Store: store.Options{Getenv: env}}) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, *r)
	}
	return rolluptest.Merged(rows)
}

// TestKill kills the program at random moments while it writes into a bucket. Whatever is there then is whole. Then two
// runs at once complete it, and the sums are those of the logs.
func TestKill(t *testing.T) {
	t.Parallel()
	s := s3.Start(t, "us-east-1")
	s.Make(t, "logs")
	s.Make(t, "rollup")
	env := map[string]string{"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-secret"}
	environ := []string{"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test-secret"}
	url := func(bucket string) string {
		return fmt.Sprintf("s3://%s/prod?region=us-east-1&pathStyle=true&endpoint=%s", bucket, "http://"+s.Backend())
	}
	r := rand.New(rand.NewPCG(1, 2))
	var all []rolluptest.Line
	const days, objects = 5, 3
	for d := range traffic.Day(days) {
		lines := rolluptest.Lines(r, firstDay+d, 1000, 200)
		lines = append(lines, lines[:200]...) // delivered twice
		all = append(all, lines...)
		for i := range objects {
			key := fmt.Sprintf("prod/123456789012/us-east-1/layers/%s/%s-0%d-15-22-ABCDEF", strings.ReplaceAll((firstDay+d).String(), "-", "/"), firstDay+d, i)
			bucket, body := "logs", bytes.NewReader(rolluptest.Text(lines[i*400:(i+1)*400]))
			if _, err := s.Client().PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: body}); err != nil {
				t.Fatal(err)
			}
		}
	}
	file, want := config(t), rolluptest.Sums(all)
	byDay := map[traffic.Day][]traffic.Row{}
	for _, row := range want {
		byDay[row.Day] = append(byDay[row.Day], row)
	}
	killed, longest := 0, 500
	for range 5 {
		run := ctl.Start(t, environ, args(file, url("logs"), url("rollup"))...)
		<-time.After(time.Duration(50+r.IntN(longest)) * time.Millisecond)
		run.Signal(syscall.SIGKILL)
		if run.Wait(t, ctl.Limit).Code < 0 {
			killed++
		} else {
			longest /= 2 // it was quicker
		}
		infos, err := rollup.Infos(t.Context(), url("rollup"), rollup.Options{Store: store.Options{Getenv: func(k string) string { return env[k] }}})
		if err != nil && !strings.Contains(err.Error(), rollup.ErrNone.Error()) {
			t.Fatalf("after a kill: %v", err)
		}
		if len(infos) == 0 {
			continue
		}
		have := map[traffic.Day][]traffic.Row{}
		for _, row := range rows(t, url("rollup"), func(k string) string { return env[k] }) {
			have[row.Day] = append(have[row.Day], row)
		}
		for day, got := range have {
			if diff := rolluptest.Differ(byDay[day], got); diff != "" {
				t.Errorf("after a kill, %s is not whole:\n%s", day, diff)
			}
		}
	}
	if killed == 0 {
		t.Error("the program was never killed")
	}
	t.Log("killed", killed, "times")
	one := ctl.Start(t, environ, args(file, url("logs"), url("rollup"))...)
	two := ctl.Start(t, environ, args(file, url("logs"), url("rollup"))...)
	for _, run := range []*ctl.Running{one, two} {
		if ran := run.Wait(t, ctl.Limit); ran.Code != 0 {
			t.Fatal(ran)
		}
	}
	if diff := rolluptest.Differ(want, rows(t, url("rollup"), func(k string) string { return env[k] })); diff != "" {
		t.Errorf("the sums are wrong:\n%s", diff)
	}
	ran := ctl.Run(t, ctl.Limit, environ, args(file, url("logs"), url("rollup"))...)
	if got := ctl.Decode[report](t, ran.Stdout); ran.Code != 0 || got.Made != 0 || got.Same != days || got.Counts.LogObjects != 0 {
		t.Errorf("nothing has changed: %v", ran)
	}
}

// most is the memory that the program may take.
const most = 256 << 20

// TestMemory rolls up a log whose groups and fingerprints are more than fits into memory.
func TestMemory(t *testing.T) {
	t.Parallel()
	dir, into := t.TempDir(), t.TempDir()
	const lines = 250_000
	r := rand.New(rand.NewPCG(3, 4))
	all := rolluptest.Lines(r, firstDay, lines, lines/2) // few requests for each digest
	for i := range 4 {
		name := filepath.Join(dir, fmt.Sprintf("%s-0%d-00-00-A", firstDay, i))
		if err := os.WriteFile(name, rolluptest.Text(all[i*lines/4:(i+1)*lines/4]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ran := ctl.Run(t, ctl.Limit, []string{"GOGC=400"}, args(config(t), dir, into)...)
	got := ctl.Decode[report](t, ran.Stdout)
	t.Logf("%d lines in %v, %d MiB of memory, %d MiB spilled", got.Counts.Lines, ran.Took.Round(time.Millisecond), ran.Peak>>20, got.Spilled>>20)
	if ran.Code != 0 || got.Made != 1 || got.Spilled == 0 || ran.Peak > most {
		t.Errorf("%v", ran)
	}
	if diff := rolluptest.Differ(rolluptest.Sums(all), rows(t, into, os.Getenv)); diff != "" {
		t.Errorf("the sums are wrong:\n%s", diff)
	}
	infos, err := rollup.Infos(t.Context(), into, rollup.Options{})
	if err != nil || len(infos) != 1 {
		t.Fatal(infos, err)
	}
	if text, err := os.ReadFile(infos[0].Name); err != nil || bytes.Contains(text, []byte("203.0.113.")) {
		t.Errorf("the file has an address of a client: %v", err)
	}
}

// TestSlowDuckDB lets DuckDB read roll-ups through the views that we ship, and wants the sums of the logs.
func TestSlowDuckDB(t *testing.T) {
	parts.Slow(t)
	t.Parallel()
	node, modules := parts.Find(t, "node"), filepath.Join(parts.Source(t, "duckdb"), "node_modules")
	dir, into := t.TempDir(), t.TempDir()
	r := rand.New(rand.NewPCG(5, 6))
	var all []rolluptest.Line
	for d := range traffic.Day(3) {
		lines := rolluptest.Lines(r, firstDay+d, 2000, 100)
		all = append(all, lines...)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-00-00-00-A", firstDay+d)), rolluptest.Text(lines), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if ran := ctl.Run(t, ctl.Limit, nil, args(config(t), dir, into)...); ran.Code != 0 {
		t.Fatal(ran)
	}
	sql := filepath.Join(parts.Root(), "deploy", "sql")
	text, err := os.ReadFile(filepath.Join(sql, "duckdb.sql"))
	if err != nil {
		t.Fatal(err)
	}
	tables := filepath.Join(t.TempDir(), "duckdb.sql")
	if err := os.WriteFile(tables, bytes.ReplaceAll(text, []byte("DIRECTORY"), []byte(into)), 0o600); err != nil {
		t.Fatal(err)
	}
	ask := func(query string) (rows []map[string]any) {
		t.Helper()
		out := parts.Run(t, ctl.Limit, node, filepath.Join(parts.Root(), "test", "rollups", "totals.mjs"), modules, query, tables, filepath.Join(sql, "views.sql"))
		if err := json.Unmarshal([]byte(out), &rows); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return rows
	}
	var requests, sent, squares float64
	stores := map[string]float64{}
	for _, row := range rolluptest.Sums(all) {
		requests += row.Requests
		sent += row.Bytes
		squares += row.Squares
		stores[row.Store] += row.Bytes
	}
	number := func(v any) float64 {
		var f float64
		if _, err := fmt.Sscan(fmt.Sprint(v), &f); err != nil {
			t.Fatalf("%v is no number: %v", v, err)
		}
		return f
	}
	sum := ask(`SELECT SUM(requests) AS requests, SUM(bytes) AS bytes, SUM(lines) AS lines, SUM(squares) AS squares, MIN(day)::VARCHAR AS day FROM rollup_rows`)[0]
	if number(sum["requests"]) != requests || number(sum["bytes"]) != sent || number(sum["lines"]) != requests || sum["day"] != firstDay.String() ||
		math.Abs(number(sum["squares"])/squares-1) > 1e-9 {
		t.Errorf("DuckDB counts %v, want %v requests, %v bytes, %v", sum, requests, sent, squares)
	}
	for _, row := range ask(`SELECT store, SUM(bytes) AS bytes FROM rollup_store_months WHERE year_of = 2026 AND month_of = 12 GROUP BY 1`) {
		if name := row["store"].(string); stores[name] != number(row["bytes"]) {
			t.Errorf("%s: DuckDB counts %v bytes, want %v", name, row["bytes"], stores[name])
		}
		delete(stores, row["store"].(string))
	}
	if len(stores) > 0 {
		t.Errorf("DuckDB does not know %v", stores)
	}
	for view, want := range map[string]float64{
		`SELECT SUM(bytes) AS n FROM rollup_client_days`: sent, `SELECT SUM(bytes) AS n FROM rollup_top_digests`: sent,
		`SELECT COUNT(*) AS n FROM rollup_top_digests WHERE digest LIKE 'sha256:%'`: 100, `SELECT COUNT(*) AS n FROM rollup_repository_days`: 0,
		`SELECT MAX(bytes_off) AS n FROM rollup_sampling`: 0,
	} {
		if got := ask(view)[0]["n"]; number(got) != want {
			t.Errorf("%s: %v, want %v", view, got, want)
		}
	}
}
