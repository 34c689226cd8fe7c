package page

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/console/view"
)

var noon = time.Date(2026, time.November, 30, 12, 0, 0, 0, time.UTC)

// draw returns the whole page.
func draw(t *testing.T, v *view.View, e *view.Explanation, q view.Question, fault string) string {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, v, e, q, fault); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// full returns a view with n of everything: candidates in all states, flows, events, problems, feeds.
func full(n int) *view.View {
	states := []view.State{view.In, view.Out, view.Joining, view.Drained, view.Returning, view.NotKnown}
	line := view.Series{End: noon, Step: view.Step}
	for i := range view.Points {
		line.Values = append(line.Values, float64(i*i%977)*1e5)
	}
	rate := view.Rate{Redirects: 12.3, Bytes: 4.5e6, Dollars: 1.234}
	v := &view.View{At: noon, Name: "host-1", Every: 5 * time.Second, Totals: line, Docs: "https://docs.example/",
		Serving: view.Serving{Text: "serving", Ready: 1, Instances: 1, Requests: 20, Connections: 3, MaxConnections: 20000, Version: "v1.2.3", Started: noon},
		Money:   view.Money{Hour: 1.23, Saved: 4.5, SavedKnown: true, LastHour: 1.1},
		Config:  view.Config{Hash: "0123456789ab", Hashes: 1, Loaded: noon.Add(-time.Hour), From: "oci-proxy.yaml"},
		Gaps:    []string{"Something is not known."},
	}
	for i := range n {
		name := fmt.Sprintf("store-%d", i)
		v.Candidates = append(v.Candidates, view.Candidate{
			Name: name, Kind: "store", Place: "aws/us-east-1", Spot: view.Spot{Lat: float64(i%120 - 60), Lon: float64(i*7%360 - 180), Known: i%9 > 0},
			State: states[i%len(states)], Since: noon.Add(-time.Minute), Why: "503 for 3 probes", Out: 1, Of: 1, Rate: rate, Cents: float64(i % 12), Series: line,
			Inventory: &view.Inventory{State: "current", Age: time.Minute, Held: 1000, All: 1200}, Runbook: view.RunbookStore,
			Moved: []view.Moved{{To: "eu", Rate: rate, Extra: 0.5}},
		})
		v.Flows = append(v.Flows, view.Flow{From: fmt.Sprintf("aws/place-%d", i), Spot: view.Spot{Lat: 10, Lon: float64(i % 180), Known: i%5 > 0}, To: name, Rate: rate, Cents: 9})
		v.Events = append(v.Events, view.Event{At: noon, Level: view.Bad, Subject: name, Text: "went out of service: 503 for 3 probes"})
		v.Problems = append(v.Problems, view.Problem{Level: view.Warning, Text: "Something is wrong with " + name + ".", Since: noon, Runbook: view.RunbookFeed})
		v.Feeds = append(v.Feeds, view.Feed{Name: "feed-" + name, Age: time.Hour, Prefixes: 12345})
	}
	return v
}

// each calls f for every settable value below v.
func each(v reflect.Value, f func(reflect.Value)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			each(v.Elem(), f)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			f(v)
			return
		}
		for i := range v.NumField() {
			each(v.Field(i), f)
		}
	case reflect.Slice:
		for i := range v.Len() {
			each(v.Index(i), f)
		}
	default:
		f(v)
	}
}

// explanation is an answer of the box.
func explanation() *view.Explanation {
	return &view.Explanation{Question: view.Question{Address: "192.0.2.7", Host: "h", Path: "/v2/"}, Place: "aws/us-east-1", By: "a feed",
		Rows: []view.Row{{Taken: true, Name: "a", Kind: "store", Place: "p", RTT: 1, Cents: 2, Score: 3, Verdict: "taken"}}, Notes: []string{"n"}, Answer: "307 a", Location: "http://a/"}
}

// TestHostile puts the text of an attacker into every field. All of it stays text.
func TestHostile(t *testing.T) {
	const evil = `"'><script>alert(1)</script><img src=x onerror=alert(2)><a href="javascript:alert(3)">`
	v, e := full(6), explanation()
	for _, value := range []any{v, e} {
		each(reflect.ValueOf(value), func(f reflect.Value) {
			if f.Kind() == reflect.String && f.CanSet() && f.Type() != reflect.TypeFor[view.State]() {
				f.SetString("javascript:" + evil)
			}
		})
	}
	html := draw(t, v, e, view.Question{Address: evil, Host: evil, Path: evil}, "") + draw(t, v, nil, view.Question{Address: evil}, evil)
	if n := strings.Count(html, "<script"); n != 2 {
		t.Errorf("%d scripts in two pages", n)
	}
	for _, bad := range []string{"<img", "<script>", "onerror=alert(2)><", `href="javascript`, "href='javascript"} {
		if i := strings.Index(html, bad); i >= 0 {
			t.Errorf("%s: …%s…", bad, html[max(0, i-100):min(len(html), i+100)])
		}
	}
}

// TestNumbers checks that no number or time that is none reaches the page.
func TestNumbers(t *testing.T) {
	nonsense := regexp.MustCompile(`NaN|Inf\b|0001-01-01|%!|-\d+(\.\d+)? [KMG]?i?B/s`)
	for name, x := range map[string]float64{"NaN": math.NaN(), "Inf": math.Inf(1), "-Inf": math.Inf(-1), "negative": -1, "huge": math.MaxFloat64, "zero": 0} {
		v, e := full(12), explanation()
		for _, value := range []any{v, e} {
			each(reflect.ValueOf(value), func(f reflect.Value) {
				switch {
				case f.Kind() == reflect.Float64:
					f.SetFloat(x)
				case f.Type() == reflect.TypeFor[time.Time]() && f.CanSet():
					f.SetZero()
				}
			})
		}
		if html := draw(t, v, e, e.Question, ""); nonsense.MatchString(html) {
			at := nonsense.FindStringIndex(html)
			t.Errorf("%s: …%s…", name, html[max(0, at[0]-120):min(len(html), at[1]+60)])
		}
	}
}

// TestEmpty checks that a view without anything is a page.
func TestEmpty(t *testing.T) {
	html := draw(t, &view.View{}, nil, view.Question{}, "")
	for _, want := range []string{"<!doctype html>", "The config has no candidates.", "No client was sent anywhere", "No feeds.", "</html>"} {
		if !strings.Contains(html, want) {
			t.Errorf("no %q", want)
		}
	}
}

// TestWords checks sentences that are put together from parts which may be missing.
func TestWords(t *testing.T) {
	v := &view.View{At: noon, Candidates: []view.Candidate{
		{Name: "a", State: view.In, Inventory: &view.Inventory{State: "current", Held: 8, All: 9}},
		{Name: "b", State: view.In, Inventory: &view.Inventory{State: "current", Held: 9, All: 9}},
	}, Problems: []view.Problem{{Level: view.Unknown, Text: "no answer: connection refused", Since: noon}, {Level: view.Warning, Text: "Two instances are old.", Since: noon}}}
	html := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(draw(t, v, nil, view.Question{Path: "/v2/"}, "an address is wanted"), "|")
	for _, want := range []string{"|8 of 9 digests", "|9 digests", "connection refused. Since |", "are old. Since |", "|an address is wanted|"} {
		if !strings.Contains(html, want) {
			t.Errorf("no %q in %s", want, html)
		}
	}
}

func zipped(t *testing.T, parts ...string) int {
	t.Helper()
	var out bytes.Buffer
	for _, part := range parts {
		w := gzip.NewWriter(&out)
		if _, err := w.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out.Len()
}

// TestSize checks the budget of a first visit: the page, the style and the script, compressed.
func TestSize(t *testing.T) {
	small := zipped(t, draw(t, full(8), nil, view.Question{}, ""), string(Style), string(Script))
	v := full(view.MaxFlows)
	v.Candidates, v.Events, v.Problems = v.Candidates[:256], v.Events[:view.MaxEvents], v.Problems[:view.MaxProblems]
	page := draw(t, v, nil, view.Question{}, "")
	huge := zipped(t, page, string(Style), string(Script))
	t.Logf("8 candidates: %d bytes; 256 candidates and %d flows: %d bytes, %d before compression", small, view.MaxFlows, huge, len(page))
	if small > 25<<10 {
		t.Errorf("%d bytes with 8 candidates, want at most 25 KiB", small)
	}
	if huge > 150<<10 || len(page) > 2<<20 {
		t.Errorf("%d bytes (%d) with all that a view may have, want at most 150 KiB (2 MiB)", huge, len(page))
	}
}

// TestSections checks that the document has each section as it is sent later, and that it does not change by itself.
func TestSections(t *testing.T) {
	v := full(20)
	html := draw(t, v, nil, view.Question{}, "")
	first, err := Sections(v)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Sections(v)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range first {
		if !bytes.Equal(s.HTML, again[i].HTML) {
			t.Errorf("%s differs from itself", s.ID)
		}
		if at := regexp.MustCompile(`id="` + s.ID + `"[^>]*>`).FindStringIndex(html); at == nil || !strings.HasPrefix(html[at[1]:], string(s.HTML)) {
			t.Errorf("the document has no %s as it is sent", s.ID)
		}
	}
}

// TestHeadline checks the sentence that a person reads first.
func TestHeadline(t *testing.T) {
	v := &view.View{At: noon, Serving: view.Serving{Text: "serving"}, Candidates: []view.Candidate{
		{Name: "aws-us-east-1", Kind: "store", State: view.Out, Since: noon.Add(-time.Minute), Why: "503 of sha256:" + strings.Repeat("0123456789abcdef", 4), Of: 1, Out: 1,
			Moved: []view.Moved{{To: "us", Rate: view.Rate{Bytes: 1 << 20, Dollars: 0.2}, Extra: 0.15}, {To: "eu", Rate: view.Rate{Bytes: 1 << 20, Dollars: 0.1}, Extra: 0.1}}},
		{Name: "cdn", State: view.In},
	}}
	v.Judge()
	html := regexp.MustCompile(`<[^>]*>|\s+`).ReplaceAllString(draw(t, v, nil, view.Question{}, ""), " ")
	html = strings.Join(strings.Fields(html), " ")
	for _, want := range []string{
		"Serving, with 1 of 2 candidates out of service", "aws-us-east-1 is out of service since 11:59:00 .",
		"Its traffic, 2.0 MiB/s, goes to us and eu for $0.30 an hour, $0.25 more than before .", "The last error: 503 of sha256:0123456789ab…",
		"What to do: docs/runbook.md#a-store-is-down",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("no %q in %.900s", want, html)
		}
	}
	if n := strings.Count(html, "aws-us-east-1 is out of service"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// TestCalm checks what the headline says while there is no problem.
func TestCalm(t *testing.T) {
	for _, tt := range []struct {
		states []view.State
		want   string
	}{
		{nil, "Serving. The config has no candidates."},
		{[]view.State{view.In}, "Serving. The only candidate is in service."},
		{[]view.State{view.In, view.In, view.In}, "Serving. All 3 candidates are in service."},
		{[]view.State{view.In, view.Drained, view.Returning}, "Serving. 1 of 3 candidates are in service, and there is no problem."},
	} {
		v := &view.View{At: noon, Serving: view.Serving{Text: "serving"}}
		for i, s := range tt.states {
			v.Candidates = append(v.Candidates, view.Candidate{Name: strconv.Itoa(i), State: s})
		}
		v.Judge()
		if h := newHeadline(v); h.Text != tt.want || h.Level != "ok" {
			t.Errorf("%v: %s: %q, want %q", tt.states, h.Level, h.Text, tt.want)
		}
	}
}

// TestSecurity checks that the page may use nothing of another origin, and that no other page may use it.
func TestSecurity(t *testing.T) {
	h := http.Header{}
	Security(h)
	policy := h.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("no %s in %s", want, policy)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("headers %v", h)
	}
	html := draw(t, full(3), explanation(), view.Question{}, "")
	for _, bad := range []string{" style=", " onclick=", "<style", "http://www"} {
		if strings.Contains(html, bad) {
			t.Errorf("the page has %q, which the policy forbids", bad)
		}
	}
	if !strings.Contains(html, StylePath) || !strings.Contains(html, ScriptPath) || strings.HasPrefix(StylePath, "/") || strings.HasPrefix(ScriptPath, "/") {
		t.Errorf("paths %s, %s", StylePath, ScriptPath)
	}
}
