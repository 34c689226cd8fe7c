package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/probe"
	"ociproxy/internal/store"
)

func found(check, as string, result judge.Result) probe.Finding {
	return probe.Finding{Check: check, As: as, Host: "r.example", Result: result, Detail: "SECRET detail", Image: "SECRET/image:1"}
}

func report(findings ...probe.Finding) *probe.Report {
	return &probe.Report{Name: "r.example", Findings: findings, Hosts: []probe.HostReport{{Host: "SECRET-bucket.example"}}, Classes: []string{"self", "SECRET/class"}}
}

var (
	good = report(found("ping", "self", judge.OK), found("blob", "self", judge.OK), found("blob", "aws/eu-central-1 ipv4", judge.OK))
	bad  = report(found("ping", "self", judge.Failed))
	some = report(found("blob", "self", judge.OK), found("blob", "SECRET/class", judge.Failed))
)

// TestOf: which findings are about pulls, and whose.
func TestOf(t *testing.T) {
	elsewhere := found("ipv4", "self", judge.Failed)
	elsewhere.Host = "store.example"
	for name, c := range map[string]struct {
		run  *probe.Report
		want State
	}{
		"good":                        {good, Up},
		"no answer":                   {bad, Down},
		"one class":                   {some, Degraded},
		"own pull counts more":        {report(found("blob", "other", judge.Failed), found("layer", "self", judge.Failed)), Down},
		"a warning is no outage":      {report(found("blob", "self", judge.Warning)), Up},
		"no upload, for nobody":       {report(found("blob", "self", judge.OK), found("method", "self", judge.Failed)), Up},
		"a family of the name":        {report(found("blob", "self", judge.OK), found("ipv6", "self", judge.Failed)), Degraded},
		"a family of a store":         {report(found("blob", "self", judge.OK), elsewhere), Up},
		"nothing was asked":           {report(found("blob", "self", probe.Skipped)), Unknown},
		"only others were asked":      {report(found("blob", "other", judge.OK)), Unknown},
		"bounds are reached":          {report(found("ping", "self", judge.OK), found("blob", "self", probe.Skipped)), Up},
		"an empty run says nothing":   {report(), Unknown},
		"the list of tags is no pull": {report(found("tags", "self", judge.Failed), found("tag", "self", judge.OK)), Up},
	} {
		if got := Of(c.run); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	known := map[string]bool{}
	for _, c := range probe.Checks() {
		known[c.ID] = true
	}
	for _, ids := range []map[string]bool{pullChecks, familyChecks} {
		for id := range ids {
			if !known[id] {
				t.Errorf("the probe has no check %s any more", id)
			}
		}
	}
}

// TestCounts compares the history with a list of all runs.
func TestCounts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	type run struct {
		at     time.Time
		failed bool
	}
	for range 50 {
		var c Counts
		var all []run
		now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
		for range 300 {
			now = now.Add(time.Duration(r.Int64N(int64(3 * hour))))
			if r.IntN(40) == 0 {
				now = now.Add(time.Duration(r.Int64N(int64(10 * day))))
			}
			one := run{now, r.IntN(10) == 0}
			all = append(all, one)
			c.add(one.at, hour, keepHours, one.failed)
			if err := c.check(hour, keepHours); err != nil {
				t.Fatal(err)
			}
			since := now.Add(-7 * day).Truncate(hour)
			var runs, failed float64
			for _, a := range all {
				if !a.at.Before(since) {
					runs++
					if a.failed {
						failed++
					}
				}
			}
			if got := c.share(since, now, hour); got == nil || *got != (runs-failed)/runs {
				t.Fatalf("%v, want %v", got, (runs-failed)/runs)
			}
		}
	}
}

type clockwork struct{ now time.Time }

func (c *clockwork) tick(d time.Duration) { c.now = c.now.Add(d) }

func directory(t *testing.T) store.Bucket {
	t.Helper()
	b, err := store.Open(t.Context(), "file://"+t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writer(t *testing.T, b store.Bucket, vantage string, now func() time.Time) *Writer {
	t.Helper()
	w, err := New(Options{Bucket: b, Name: "r.example", Vantage: vantage, Every: time.Minute, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func object(t *testing.T, b store.Bucket, key string) string {
	t.Helper()
	text, _, err := (&Writer{opt: Options{Bucket: b}}).read(t.Context(), key, maxDocument)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func document(t *testing.T, b store.Bucket) *Document {
	t.Helper()
	d, err := parse([]byte(object(t, b, DocumentKey)))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestSeveralProbes: probes that write at once lose no run, and the page is that of the last document.
func TestSeveralProbes(t *testing.T) {
	b := directory(t)
	const probes, runs = 4, 12
	var all sync.WaitGroup
	for i := range probes {
		w := writer(t, b, fmt.Sprintf("vantage %d", i), nil)
		all.Go(func() {
			for done, at := 0, time.Now(); done < runs; done++ {
				w.opt.Now = func() time.Time { return at.Add(time.Duration(done) * time.Millisecond) }
				if err := w.Record(t.Context(), good); err != nil && !errors.Is(err, store.ErrConflict) {
					t.Error(err)
				}
			}
			w.opt.Now = func() time.Time { return time.Now().Add(time.Second) } // what lost a race ten times is written now
			for w.Record(t.Context(), good) != nil {
				continue
			}
		})
	}
	all.Wait()
	d := document(t, b)
	if len(d.Names) != 1 || len(d.Names[0].Vantages) != probes || d.Names[0].State != Up {
		t.Fatalf("%+v", d)
	}
	for _, v := range d.Names[0].Vantages {
		var n uint32
		for _, r := range v.Days.Runs {
			n += r
		}
		if n < runs+1 {
			t.Errorf("%s: %d runs, want %d", v.Vantage, n, runs+1)
		}
	}
	if page := object(t, b, PageKey); !strings.Contains(page, fmt.Sprintf(`data-revision="%d"`, d.Revision)) {
		t.Errorf("the page is not that of revision %d: %.200s", d.Revision, page)
	}
}

// faulty is a bucket whose next write of the document fails, before or after it is done.
type faulty struct {
	store.Bucket
	err       error
	persisted bool
}

func (f *faulty) Put(ctx context.Context, key string, c store.Content, h store.Header, version string) (store.Attrs, error) {
	if key != DocumentKey || f.err == nil {
		return f.Bucket.Put(ctx, key, c, h, version)
	}
	if f.persisted {
		if _, err := f.Bucket.Put(ctx, key, c, h, version); err != nil {
			return store.Attrs{}, err
		}
	}
	return store.Attrs{}, f.err
}

// TestFaults: a run is counted once, whether its write failed or failed but was done. An outage that the probe saw while
// its own network was down is none.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name      string
		err       error
		persisted bool
		run       *probe.Report
		want      Counts // of today: one run before, one with the fault, one after
	}{
		{"failed", errors.New("busy"), false, good, Counts{Runs: []uint32{3}, Failed: []uint32{0}}},
		{"failed but persisted", errors.New("busy"), true, good, Counts{Runs: []uint32{3}, Failed: []uint32{0}}},
		{"an outage while the bucket refuses", store.ErrDenied, false, bad, Counts{Runs: []uint32{3}, Failed: []uint32{1}}},
		{"an outage of everything", &net.OpError{Op: "dial", Err: errors.New("unreachable")}, false, bad, Counts{Runs: []uint32{2}, Failed: []uint32{0}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := clockwork{time.Now().UTC().Truncate(day).Add(time.Hour)}
			b := &faulty{Bucket: directory(t), persisted: c.persisted}
			w := writer(t, b, "oslo", func() time.Time { return at.now })
			step := func(run *probe.Report, fails bool) {
				t.Helper()
				at.tick(time.Second)
				err := w.Record(t.Context(), run)
				if errors.Is(err, errClock) { // the files have the time of this machine
					err = nil
				}
				if (err != nil) != fails {
					t.Fatal(err)
				}
			}
			step(good, false)
			b.err = c.err
			step(c.run, true)
			b.err = nil
			step(good, false)
			c.want.First = at.now.Truncate(day)
			if diff := cmp.Diff(c.want, document(t, b).Names[0].Vantages[0].Days); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if w.failures < 1 || len(w.pending) != 0 {
				t.Errorf("%d failures, %d runs wait", w.failures, len(w.pending))
			}
		})
	}
}

// TestStale: what a probe saw last is unknown when it does not come back, and its history stays.
func TestStale(t *testing.T) {
	d := new(Document)
	begin := time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	see := func(vantage string, at time.Time, s State) {
		t.Helper()
		v, err := d.vantage("r.example", vantage)
		if err != nil {
			t.Fatal(err)
		}
		v.add([]Run{{at, s}}, at, leastStale)
		d.finish(at)
	}
	states := func() string {
		var all []string
		for _, v := range d.Names[0].Vantages {
			all = append(all, v.Vantage+" "+string(v.State))
		}
		return string(d.Names[0].State) + ": " + strings.Join(all, ", ")
	}
	for _, step := range []struct {
		vantage string
		at      time.Duration
		state   State
		want    string
	}{
		{"oslo", 0, Up, "up: oslo up"},
		{"lima", time.Minute, Down, "degraded: lima down, oslo up"},
		{"lima", 5 * time.Minute, Down, "degraded: lima down, oslo up"},
		{"lima", 6 * time.Minute, Down, "down: lima down, oslo unknown"},
		{"oslo", 100 * time.Hour, Unknown, "unknown: lima unknown, oslo unknown"},
		{"oslo", 101 * time.Hour, Degraded, "degraded: lima unknown, oslo degraded"},
	} {
		see(step.vantage, begin.Add(step.at), step.state)
		if got := states(); got != step.want {
			t.Errorf("%s: %s, want %s", step.at, got, step.want)
		}
	}
	lima := d.Names[0].Vantages[0]
	if !lima.Since.Equal(begin.Add(time.Minute)) || lima.Available.Day != nil || *lima.Available.Week != 0 {
		t.Errorf("%+v", lima)
	}
	// A clock that is a year ahead destroys nothing of others.
	see("quito", begin.AddDate(1, 0, 0), Up)
	see("oslo", begin.Add(102*time.Hour), Up)
	if diff := cmp.Diff(lima.Days, d.Names[0].Vantages[0].Days); diff != "" || *d.Names[0].Vantages[0].Available.Week != 0 {
		t.Errorf("a wrong clock changed another's history\n%s", diff)
	}
	if got, want := states(), "up: lima unknown, oslo up, quito unknown"; got != want {
		t.Errorf("beside a clock that is wrong: %s, want %s", got, want)
	}
	if d.Revision > begin.Add(102*time.Hour).UnixMilli() {
		t.Error("the revision of a wrong clock stays")
	}
	see("quito", begin.Add(103*time.Hour), Down)
	if v := d.Names[0].Vantages[2]; v.Vantage != "quito" || v.State != Down || *v.Available.Week != 0 {
		t.Errorf("after its clock was set: %+v", v)
	}
}

// TestPrivate: of a run, nothing leaves but what the document says.
func TestPrivate(t *testing.T) {
	b := directory(t)
	w := writer(t, b, "oslo", nil)
	for _, run := range []*probe.Report{good, bad, some} {
		if err := w.Record(t.Context(), run); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{PageKey, DocumentKey} {
		if text := object(t, b, key); strings.Contains(text, "SECRET") || strings.Contains(text, "aws") {
			t.Errorf("%s tells too much:\n%s", key, text)
		}
	}
}

// TestRefuses: what is in the bucket and not ours stays as it is.
func TestRefuses(t *testing.T) {
	var most Document
	for i := range maxVantages {
		if _, err := most.vantage("r.example", fmt.Sprint("v", i)); err != nil {
			t.Fatal(err)
		}
		most.Names[0].Vantages[0].Last = Up
	}
	for i := range most.Names[0].Vantages {
		most.Names[0].Vantages[i].Last = Up
	}
	most.Version = 1
	full, err := most.text()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ key, text, want string }{
		"a page of somebody else": {PageKey, "<!DOCTYPE html><html lang=en>My site", "page of somebody else"},
		"an empty page":           {PageKey, "", "page of somebody else"},
		"no JSON":                 {DocumentKey, "hello", "not of a form"},
		"a newer version":         {DocumentKey, `{"version":2}`, "version 2"},
		"too deep":                {DocumentKey, strings.Repeat("[", 1000), "not of a form"},
		"too long":                {DocumentKey, `{"version":1,"x":"` + strings.Repeat("x", maxDocument) + `"}`, "not of a form"},
		"hostile name":            {DocumentKey, `{"version":1,"names":[{"name":"<script>"}]}`, "a name that is none"},
		"hostile vantage":         {DocumentKey, `{"version":1,"names":[{"name":"r","vantages":[{"vantage":"<b>","last":"up"}]}]}`, "want 1 to 40 letters"},
		"hostile state":           {DocumentKey, `{"version":1,"names":[{"name":"r","vantages":[{"vantage":"v","last":"<b>"}]}]}`, "no such state"},
		"more failed than made": {DocumentKey, `{"version":1,"names":[{"name":"r","vantages":[{"vantage":"v","last":"up",` +
			`"hours":{"first":"2026-01-01T00:00:00Z","runs":[1],"failed":[2]}}]}]}`, "more runs failed"},
		"other counts": {DocumentKey, `{"version":1,"names":[{"name":"r","vantages":[{"vantage":"v","last":"up",` +
			`"days":{"first":"2026-01-01T01:00:00Z","runs":[1],"failed":[1]}}]}]}`, "another form"},
		"no place": {DocumentKey, string(full), "may have no more"},
	} {
		t.Run(name, func(t *testing.T) {
			b := directory(t)
			if _, err := b.Put(t.Context(), c.key, store.Bytes([]byte(c.text)), store.Header{}, ""); err != nil {
				t.Fatal(err)
			}
			w := writer(t, b, "oslo", nil)
			if err := w.Record(t.Context(), good); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if got := object(t, b, c.key); len(got) < maxDocument && got != c.text {
				t.Errorf("it was replaced: %.100s", got)
			}
		})
	}
}

// TestVantages: names that can be shown, and that cannot.
func TestVantages(t *testing.T) {
	for _, name := range []string{"oslo", "Home (Kraków)", "aws/us-east-1, second"} {
		if err := CheckVantage(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", " x", "<b>", "a\nb", strings.Repeat("x", 41), "a\u202eb"} {
		if CheckVantage(name) == nil {
			t.Errorf("%q is accepted", name)
		}
	}
	if _, err := New(Options{Name: "r.example/<script>", Vantage: "oslo"}); err == nil {
		t.Error("a name that is none is accepted")
	}
}

// TestPending: a bucket that does not answer for weeks costs bounded memory.
func TestPending(t *testing.T) {
	b := &faulty{Bucket: directory(t), err: store.ErrDenied}
	w := writer(t, b, "oslo", nil)
	w.pending = slices.Repeat([]Run{{time.Now().Add(-time.Hour), Up}}, maxPending)
	if err := w.Record(t.Context(), good); !errors.Is(err, store.ErrDenied) || len(w.pending) != maxPending {
		t.Errorf("%v, %d runs wait", err, len(w.pending))
	}
}

// TestBounds: the largest document and its page.
func TestBounds(t *testing.T) {
	d := new(Document)
	now := time.Date(2026, 11, 30, 12, 34, 56, 0, time.UTC)
	for i := range maxVantages {
		v, err := d.vantage(fmt.Sprintf("registry-%02d.example.org", i/4), fmt.Sprintf("%40d", i)[1:]+"x")
		if err != nil {
			t.Fatal(err)
		}
		v.Vantage = strings.TrimSpace(v.Vantage)
		for h := range keepDays * 24 {
			at := now.Add(-keepDays*day + time.Duration(h+1)*hour)
			v.Checked = at
			v.Hours.add(at, hour, keepHours, true)
			v.Days.add(at, day, keepDays, true)
		}
		for j := range v.Hours.Runs {
			v.Hours.Runs[j], v.Hours.Failed[j] = 3600, 3600
		}
		v.Last, v.StaleSeconds = Down, 300
	}
	d.finish(now)
	text, err := d.text()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parse(text); err != nil {
		t.Error(err)
	}
	page, err := d.page()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("document %d bytes, page %d bytes", len(text), len(page))
	if len(text) > maxDocument/2 || len(page) > 512<<10 {
		t.Errorf("document %d bytes, page %d bytes", len(text), len(page))
	}
	var again Document
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d, &again); diff != "" {
		t.Errorf("(-written +read)\n%s", diff)
	}
}
