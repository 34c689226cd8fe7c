package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/bill"
	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/report"
	"ociproxy/internal/route"
	"ociproxy/internal/traffic"
)

// TestReportPage: the example of docs/report.md prints what the page shows.
func TestReportPage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "```console\n$ oci-proxyctl ")
	block, _, ok := strings.Cut(block, "```")
	command, want, _ := strings.Cut(block, "\n")
	if !ok {
		t.Fatal("the page has no example")
	}
	t.Chdir(filepath.Join("..", ".."))
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), strings.Fields(command), emptyEnv, nil, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	if stdout.String() != want {
		t.Errorf("oci-proxyctl %s prints\n%s\nand the page shows\n%s", command, &stdout, want)
	}
}

// TestRemedies: the command beside each loss is one of this program, and its flags exist.
func TestRemedies(t *testing.T) {
	cfg, err := config.Parse("config.yaml", []byte(`version: 1
upstreams: [{name: main, url: "https://main.example", place: gcp/us-central1, canonical: true}]
stores:
  - {name: here, place: aws/us-east-1, url: "https://a.example/{digest}", serves: [aws]}
  - {name: filling, place: azure/eastus, url: "https://b.example/{digest}", serves: [azure], state: filling}
  - {name: theirs, place: oracle/us-ashburn-1, url: "https://c.example/{digest}", serves: [aws]}
`))
	if err != nil {
		t.Fatal(err)
	}
	book, err := bill.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	day := traffic.DayOf(time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC))
	var rows []traffic.Row
	add := func(client, reason string, from traffic.Source) {
		p, err := place.Parse(client)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, traffic.Row{Key: traffic.Key{
			Day: day, Client: p, Store: "main", Class: traffic.Client, Operation: traffic.Get, Reason: reason, Source: from,
		}, Requests: 10, Bytes: 1e12, Lines: 10})
	}
	want := map[string]bool{"not-active": true, "unlisted": true, "ranked": true}
	for _, r := range route.Reasons() {
		if r == route.Nearest || r == route.Denied { // denied clients are sent nowhere
			continue
		}
		add("aws/us-east-1", r.String(), traffic.FromProxy)
		want[r.String()] = true
	}
	add("aws/us-east-1", route.Nearest.String(), traffic.FromProxy)
	add("azure/eastus", "nearest", traffic.FromProxy)
	add("oracle/us-ashburn-1", "nearest", traffic.FromProxy)
	r, err := report.Make(t.Context(), &report.Input{
		Config: cfg, File: "config.yaml", Book: book, Begin: day, End: day + 1, Per: report.PerMonth, Now: day.Time(),
		Rows: func(yield func(*traffic.Row, error) bool) {
			for i := range rows {
				if !yield(&rows[i], nil) {
					return
				}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	root := (&app{env: emptyEnv}).root()
	for _, l := range r.Left {
		delete(want, l.Reason)
		words := strings.Fields(l.Remedy)
		cmd, rest, err := root.Find(words[1:])
		if err != nil || words[0] != program || !cmd.Runnable() || cmd.HasSubCommands() && cmd.Name() != "report" {
			t.Errorf("%s: %q is no command: %v", l.Reason, l.Remedy, err)
			continue
		}
		if err := cmd.ParseFlags(rest); err != nil {
			t.Errorf("%s: %q: %v", l.Reason, l.Remedy, err)
		}
		if l.Why == "" {
			t.Errorf("%s: nothing says what it means", l.Reason)
		}
	}
	if len(want) > 0 {
		t.Errorf("no loss because of %v", want)
	}
}
