package report

import (
	"bytes"
	"flag"
	"iter"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/bill"
	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/traffic"
)

var update = flag.Bool("update", false, "write the golden files")

// world has fixed prices, so that the golden files do not change with the price lists.
const worldText = `version: 1
location: gcp/us-central1
upstreams:
  - {name: main, url: "https://us-docker.pkg.dev", place: gcp/us-central1, canonical: true, price: {internet: 12, sameCloud: 2}}
stores:
  - {name: s3-use1, place: aws/us-east-1, url: "https://a.example/{digest}", serves: [aws], price: {internet: 9, sameCloud: 1}}
  - {name: s3-euc1, place: aws/eu-central-1, url: "https://b.example/{digest}", serves: [aws], state: filling, price: {internet: 9, sameCloud: 2}}
  - {name: gcs-us, place: gcp/us-central1, url: "https://c.example/{digest}", serves: [gcp], price: {internet: 12, sameCloud: 1}}
billing:
  stored: {s3-use1: {TB: 5}}
  prices:
    - {item: storage, cents: 2, unit: GiB-month}
    - {item: requests-read, cents: 0.04, unit: 1k requests}
    - {item: requests-write, cents: 0.5, unit: 1k requests}
  fixed: [{name: support, usd: 29}]
`

func parse(t testing.TB, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("config.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func date(t testing.TB, text string) traffic.Day {
	t.Helper()
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		t.Fatal(err)
	}
	return traffic.DayOf(at)
}

func listed(rows []traffic.Row) iter.Seq2[*traffic.Row, error] {
	return func(yield func(*traffic.Row, error) bool) {
		for i := range rows {
			if !yield(&rows[i], nil) {
				return
			}
		}
	}
}

func input(t testing.TB, begin, end string, rows []traffic.Row) *Input {
	t.Helper()
	cfg := parse(t, worldText)
	book, err := bill.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &Input{
		Config: cfg, File: "config.yaml", Book: book, Begin: date(t, begin), End: date(t, end), Per: PerMonth,
		Now: date(t, end).Time(), Rows: listed(rows), Held: map[string]float64{"gcs-us": 4e12},
	}
}

func row(t testing.TB, day, client, store, reason, repository string, from traffic.Source, requests, bytes float64) traffic.Row {
	t.Helper()
	p, err := place.Parse(client)
	if client != "" && err != nil {
		t.Fatal(err)
	}
	r := traffic.Row{Key: traffic.Key{
		Day: date(t, day), Client: p, Store: store, Class: traffic.Client, Operation: traffic.Get, Reason: reason,
		Repository: repository, Source: from,
	}, Requests: requests, Bytes: bytes, Lines: int64(requests)}
	if from == traffic.FromPrometheus {
		r.Lines = 0
	}
	return r
}

// twoMonths are rows of all three sources, with what each report has to notice.
func twoMonths(t testing.TB) []traffic.Row {
	var rows []traffic.Row
	add := func(r traffic.Row) { rows = append(rows, r) }
	for _, day := range []string{"2026-10-03", "2026-11-03", "2026-11-04"} {
		growth := 1.0
		if day >= "2026-11" {
			growth = 1.5
		}
		// The store's log is complete, and the proxy tells of the same requests.
		add(row(t, day, "aws/us-east-1", "s3-use1", "", "", traffic.FromStore, 20000*growth, 4e12*growth))
		add(row(t, day, "aws/us-east-1", "s3-use1", "nearest", "", traffic.FromPrometheus, 20000*growth, 4.1e12*growth))
		add(row(t, day, "aws/eu-central-1", "s3-use1", "", "", traffic.FromStore, 5000*growth, 1e12*growth))
		add(row(t, day, "aws/eu-central-1", "s3-use1", "nearest", "", traffic.FromPrometheus, 5000*growth, 1.02e12*growth))
		// Only the proxy knows what canonical sent: to clients in AWS although there is a store.
		add(row(t, day, "aws/us-east-1", "main", "absent", "", traffic.FromPrometheus, 900*growth, 2e11*growth))
		add(row(t, day, "aws/eu-central-1", "main", "unhealthy", "", traffic.FromPrometheus, 100*growth, 5e10*growth))
		add(row(t, day, "azure/westeurope", "main", "nearest", "", traffic.FromPrometheus, 3000*growth, 6e11*growth))
		// The proxy's log knows the repositories of what the other store sent; the counters tell of the same.
		add(row(t, day, "gcp/us-central1", "gcs-us", "nearest", "team/app", traffic.FromProxy, 6000*growth, 1.2e12*growth))
		add(row(t, day, "gcp/europe-west1", "gcs-us", "nearest", "team/web", traffic.FromProxy, 2000, 3e11))
		add(row(t, day, "gcp/us-central1", "gcs-us", "nearest", "", traffic.FromPrometheus, 6000*growth+2000, 1.2e12*growth+3e11))
		own := row(t, day, "gcp/us-central1", "s3-use1", "", "", traffic.FromStore, 300, 2e9)
		own.Class = traffic.Own
		add(own)
	}
	add(row(t, "2026-11-05", "aws/us-east-1", "s3-use1", "", "", traffic.FromStore, 500, 1e11)) // an incomplete day
	add(row(t, "2026-11-05", "aws/us-east-1", "s3-use1", "nearest", "", traffic.FromPrometheus, 20000, 4e12))
	add(row(t, "2026-11-05", "aws/us-east-1", "s3-old", "nearest", "", traffic.FromPrometheus, 10, 1e9)) // no longer in the config
	return rows
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got), -update writes it:\n%s", file, d)
	}
}

func TestGolden(t *testing.T) {
	r, err := Make(t.Context(), input(t, "2026-10-01", "2026-12-01", twoMonths(t)))
	if err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func(*bytes.Buffer) error{
		"report.txt":      func(b *bytes.Buffer) error { return r.WriteText(b, 20) },
		"report.markdown": func(b *bytes.Buffer) error { return r.WriteMarkdown(b, 20) },
		"report.html":     func(b *bytes.Buffer) error { return r.WriteHTML(b, 20) },
		"report.csv":      func(b *bytes.Buffer) error { return r.WriteCSV(b) },
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			golden(t, name, b.Bytes())
		})
	}
}

// TestSampled: a sampled log says how far its bytes may be off, and one that has every request says nothing.
func TestSampled(t *testing.T) {
	const weight, lines, each = 10, 400, 1e9
	sampled := row(t, "2026-11-03", "aws/us-east-1", "s3-use1", "nearest", "a", traffic.FromProxy, weight*lines, weight*lines*each)
	sampled.Lines, sampled.Squares = lines, lines*(weight*each)*(weight*each)
	whole := row(t, "2026-11-03", "gcp/us-central1", "gcs-us", "nearest", "a", traffic.FromProxy, lines, lines*each)
	whole.Squares = lines * each * each
	r, err := Make(t.Context(), input(t, "2026-11-01", "2026-12-01", []traffic.Row{sampled, whole}))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Flows {
		// Of 4000 downloads of one size, each in the log with probability 1/10, the log has 400 ± 1.96 √(400 × 0.9), and a
		// little more at the upper end.
		const z = 1.96
		want := map[string]float64{"s3-use1": (z*z/2*0.9 + z*math.Sqrt(lines*0.9+z*z/4*0.81)) / lines, "gcs-us": 0}[f.Store]
		if math.Abs(f.Error-want) > 1e-9 {
			t.Errorf("%s: %g, want %g", f.Store, f.Error, want)
		}
	}
	var text bytes.Buffer
	if err := r.WriteText(&text, 0); err != nil {
		t.Fatal(err)
	}
	if want := "4.0 TB ± 9.7%"; !strings.Contains(text.String(), want) {
		t.Errorf("no %q in\n%s", want, &text)
	}
}

// TestHostile: names come from logs, and so from clients. They must not move the cursor of a terminal, end a table, become
// elements of a page, or formulas of a spreadsheet.
func TestHostile(t *testing.T) {
	names := []string{
		"<script>alert(1)</script>", "a|b\x1b[31m", "=HYPERLINK(\"http://evil.example\")", "+1", "@SUM(A1)", "\u202etxt.exe", "](http://evil.example)",
		"\r\n# title", strings.Repeat("long", 200), "\xff\xfe", "{{.Title}}", "`rm -rf`", "\t=1", "<!-- ",
	}
	var rows []traffic.Row
	for _, name := range names {
		r := row(t, "2026-11-03", "aws/us-east-1", "s3-use1", name, name, traffic.FromProxy, 5, 1e9)
		r.Client = place.Place{Cloud: name, Region: name}
		rows = append(rows, r)
		r.Store = name
		rows = append(rows, r)
	}
	in := input(t, "2026-11-01", "2026-12-01", rows)
	in.Objects = func(yield func(*traffic.Object, error) bool) {
		yield(&traffic.Object{Digest: names[0] + names[1], Month: date(t, "2026-11-01"), Bytes: 1}, nil)
	}
	r, err := Make(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	for format, write := range map[string]func(*bytes.Buffer) error{
		"text":     func(b *bytes.Buffer) error { return r.WriteText(b, 0) },
		"markdown": func(b *bytes.Buffer) error { return r.WriteMarkdown(b, 0) },
		"html":     func(b *bytes.Buffer) error { return r.WriteHTML(b, 0) },
		"csv":      func(b *bytes.Buffer) error { return r.WriteCSV(b) },
	} {
		t.Run(format, func(t *testing.T) {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			text := b.String()
			bad := []string{"\x1b", "\u202e", "\xff"}
			switch format {
			case "html":
				bad = append(bad, "<script", "<!-- ", "href=")
			case "markdown":
				bad = append(bad, "<script", "<!--", "\n# title", "a|b")
			case "csv":
				bad = append(bad, ",=", ",+", ",@", "\"=", "\"+", "\"@")
			case "text":
				bad = append(bad, "\r", "\n# title", strings.Repeat("long", 100))
			}
			for _, s := range bad {
				if strings.Contains(text, s) {
					t.Errorf("it contains %q", s)
				}
			}
			if format == "markdown" && regexp.MustCompile(`[^\\]\]\(`).MatchString(text) {
				t.Error("it has a link")
			}
			if !utf8.ValidString(text) {
				t.Error("it is not UTF-8")
			}
		})
	}
}

// TestSums: whatever the rows are, flows and other traffic add up to the transfer and requests of the bills, saved is the
// difference of two bills, and no order of the rows changes anything.
func TestSums(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		rows := randomRows(t, random)
		r, err := Make(t.Context(), input(t, "2026-10-01", "2026-12-01", rows))
		if err != nil {
			t.Fatal(err)
		}
		var billed, storage, flows, without, billedWithout float64
		for _, m := range r.Months {
			if !near(m.Saved.USD, m.Without.USD-m.With.USD) {
				t.Errorf("%s: saved %g, the difference of the bills is %g", m.Month, m.Saved.USD, m.Without.USD-m.With.USD)
			}
			billed += m.With.USD
			billedWithout += m.Without.USD
			for _, l := range m.Lines {
				if l.Item == bill.Stored || l.Item == bill.Fixed {
					storage += l.USD
				}
			}
		}
		for _, f := range slices.Concat(r.Flows, r.Other) {
			flows += f.USD
			without += f.Without
		}
		if !near(flows, billed-storage) || !near(without, billedWithout) {
			t.Errorf("rows cost %g and bills %g; without the proxy %g and %g", flows, billed-storage, without, billedWithout)
		}
		for name, totals := range map[string][]Total{"clouds": r.Clouds, "stores": r.Stores, "periods": r.Periods} {
			var usd, bytes, all float64
			for _, x := range totals {
				usd += x.USD
				bytes += x.Bytes
			}
			for _, f := range r.Flows {
				usd -= f.USD
				all += f.Bytes
			}
			if math.Abs(usd) > 1e-6 || !near(bytes, all) {
				t.Errorf("%s do not add up to the flows: %g dollars, %g of %g bytes", name, usd, bytes, all)
			}
		}
	}
}

// TestNoDoubles: a second and a third source that tell of the same requests change neither requests, bytes nor bills.
func TestNoDoubles(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		var rows, more []traffic.Row
		for _, r := range randomRows(t, random) {
			if r.Class != traffic.Client || r.Source != traffic.FromStore {
				continue
			}
			rows = append(rows, r)
			for _, from := range []traffic.Source{traffic.FromProxy, traffic.FromPrometheus} {
				r.Source, r.Reason = from, "nearest"
				more = append(more, r)
			}
		}
		one, err := Make(t.Context(), input(t, "2026-10-01", "2026-12-01", rows))
		if err != nil {
			t.Fatal(err)
		}
		all := slices.Concat(rows, more)
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		in := input(t, "2026-10-01", "2026-12-01", all)
		in.Objects = func(yield func(*traffic.Object, error) bool) {
			o := traffic.Object{Digest: "sha256:1", Month: date(t, "2026-11-01"), Requests: 1, Bytes: 1}
			if yield(&o, nil) { // one for each kind of log
				yield(&o, nil)
			}
		}
		three, err := Make(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) > 0 && len(three.Objects) > 0 {
			t.Errorf("two kinds of logs tell of the same blobs, and they are added up: %v", three.Objects)
		}
		for i := range one.Months {
			a, b := &one.Months[i], &three.Months[i]
			if !near(a.With.USD, b.With.USD) || !near(a.Without.USD, b.Without.USD) || !near(a.Bytes, b.Bytes) || !near(a.Downloads, b.Downloads) {
				t.Errorf("%s: %g bytes for %g with one source, %g for %g with three", a.Month, a.Bytes, a.With.USD, b.Bytes, b.With.USD)
			}
		}
	}
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b), 1e-3) }

func randomRows(t *testing.T, random *rand.Rand) (rows []traffic.Row) {
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	for range 1 + random.IntN(60) {
		r := row(t, pick("2026-10-01", "2026-10-31", "2026-11-01", "2026-11-15"),
			pick("aws/us-east-1", "aws/eu-central-1", "gcp/europe-west1", "azure/westeurope", ""),
			pick("s3-use1", "s3-euc1", "gcs-us", "main"), pick("nearest", "absent", "", "rollout"), pick("", "a", "b/c"),
			traffic.Source(pick(string(traffic.FromStore), string(traffic.FromProxy), string(traffic.FromPrometheus))),
			float64(1+random.IntN(1e6)), float64(random.Int64N(1e13)))
		if r.Source == traffic.FromStore {
			r.Reason, r.Repository = "", ""
			r.Class = traffic.Class(pick(string(traffic.Client), string(traffic.Client), string(traffic.Endpoint), string(traffic.Own), string(traffic.Copy)))
			r.Operation = traffic.Operation(pick(string(traffic.Get), string(traffic.Head), string(traffic.List)))
		}
		rows = append(rows, r)
	}
	return rows
}
