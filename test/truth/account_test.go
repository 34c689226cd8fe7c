package truth

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/accesslog"
	"ociproxy/internal/accesslog/accesslogtest"
	"ociproxy/internal/bill"
	"ociproxy/internal/config"
	"ociproxy/internal/delivered"
	"ociproxy/internal/logsource"
	"ociproxy/internal/place"
	"ociproxy/internal/report"
	"ociproxy/internal/rollup"
	"ociproxy/internal/rollup/gather"
	"ociproxy/internal/traffic"
	"ociproxy/internal/usage"
)

// cell is a client cloud at a store.
type cell struct {
	cloud, store string
	endpoint     bool // through an endpoint of the store's own region
}

// tally is what a cell got.
type tally struct {
	requests, bytes, usd float64
}

type cells map[cell]*tally

func (c cells) at(k cell) *tally {
	if c[k] == nil {
		c[k] = &tally{}
	}
	return c[k]
}

// logs are the files of a deployment's logs, by name. Names of the stores' logs are those of the stores.
type logs map[string]string

// proxyLog is the file of the proxy's request log.
const proxyLog = "proxy.jsonl"

// only returns some of the files.
func (l logs) only(names ...string) logs {
	out := logs{}
	for _, n := range names {
		out[n] = l[n]
	}
	return out
}

// stores returns the logs of the stores.
func (l logs) stores() logs { return l.only(storeS3, storeGCS, storeAzure, storeCDN, "cdn-origin") }

// recording is a day: the logs, and what really happened.
type recording struct {
	day      traffic.Day
	logs     logs
	requests map[string][]accesslogtest.Request // by store
}

// record makes the load of a day, some days from now, and returns its logs.
func (w *world) record(t *testing.T, days int, load []mix) *recording {
	t.Helper()
	w.day.Store(int64(days) * int64(24*time.Hour))
	begin, mark := map[string]int{}, w.proxy.Output.Mark()
	for name, s := range w.stores {
		begin[name] = len(s.Requests(t))
	}
	r := &recording{day: traffic.DayOf(w.now()), logs: logs{}, requests: map[string][]accesslogtest.Request{}}
	w.load(t, load)
	for name, s := range w.stores {
		r.requests[name] = s.Requests(t)[begin[name]:]
		r.logs[name] = accesslogtest.Named(s.Shape).File(r.requests[name])
	}
	var out strings.Builder
	for _, line := range w.proxy.Output.Since(mark) {
		out.WriteString(logTime.ReplaceAllStringFunc(line, func(text string) string {
			at, err := time.Parse(time.RFC3339Nano, logTime.FindStringSubmatch(text)[1])
			if err != nil {
				t.Fatal(err)
			}
			return `"time":"` + at.Add(time.Duration(days)*24*time.Hour).Format(time.RFC3339Nano) + `"`
		}) + "\n")
	}
	r.logs[proxyLog] = out.String()
	return r
}

var logTime = regexp.MustCompile(`"time":"([^"]*)"`)

// truth returns what clients really got: the bytes that were written to them, and what they cost.
func (r *recording) truth() cells {
	out := cells{}
	for _, store := range []string{storeS3, storeGCS, storeAzure, storeCDN} {
		for _, q := range r.requests[store] {
			if strings.HasPrefix(q.Agent, "oci-proxy") || q.Status >= 300 {
				continue
			}
			k, from := cell{store: store}, locator{}.Locate(q.Client.Addr()).Place
			if k.endpoint = q.Client.Addr().IsPrivate(); k.endpoint {
				from = place.Place{Cloud: "aws", Region: q.Region}
			}
			k.cloud = from.Cloud
			is := out.at(k)
			is.requests++
			is.usd += dollarsPerRequest[store]
			sent := float64(q.Sent)
			if store == storeCDN {
				sent += float64(q.Heading) // CloudFront logs and bills heads, too
			}
			is.bytes += sent
			is.usd += sent / (1 << 30) * centsPerGiB[store+" "+from.String()] / 100
		}
	}
	return out
}

// options of an account.
type options struct {
	config string // "": reportConfig
	each   func(*usage.Use, *accesslog.Record) error
}

// account is a report, with what the readers of the logs said.
type account struct {
	*report.Report
	result *gather.Result
	counts *rollup.Counts
}

// account makes the report of a day from files, as `oci-proxyctl report --logs` does.
func (l logs) account(t *testing.T, day traffic.Day, opt options) *account {
	t.Helper()
	dir := t.TempDir()
	for name, text := range l {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if opt.config == "" {
		opt.config = reportConfig
	}
	cfg, err := config.Parse("report.yaml", []byte(opt.config))
	if err != nil {
		t.Fatal(err)
	}
	classifier, err := usage.New(cfg, locator{}, usage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	source, err := logsource.Parse(t.Context(), dir, logsource.Options{})
	if err != nil {
		t.Fatal(err)
	}
	collector := rollup.NewCollector(rollup.CollectorOptions{Parts: 2})
	defer collector.Close()
	a := &account{}
	days := logsource.Days{Begin: day, End: day + 1}
	if a.result, err = gather.Run(t.Context(), source.List(t.Context(), days), gather.Options{
		Classifier: classifier, Collector: collector, Workers: 2, Days: days, Each: opt.each,
	}); err != nil {
		t.Fatal(err)
	}
	if a.counts, err = collector.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	book, err := bill.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if a.Report, err = report.Make(t.Context(), &report.Input{
		Config: cfg, File: "report.yaml", Book: book, Begin: day, End: day + 1, Per: report.PerDay, Now: day.Time().AddDate(0, 0, 40),
		Rows: collector.Rows(t.Context()),
	}); err != nil {
		t.Fatal(err)
	}
	return a
}

// cells returns what the report says of the stores that have a counting proxy.
func (a *account) cells() cells {
	out := cells{}
	for _, f := range a.Flows {
		if f.Store == canonical {
			continue
		}
		is := out.at(cell{f.Cloud, f.Store, f.Class == traffic.Endpoint})
		is.requests += f.Requests
		is.bytes += f.Bytes
		is.usd += f.USD
	}
	return out
}

// joined adds cells through endpoints to the others: only the stores know who came through one.
func (c cells) joined() cells {
	out := cells{}
	for k, v := range c {
		k.endpoint = false
		is := out.at(k)
		is.requests += v.requests
		is.bytes += v.bytes
		is.usd += v.usd
	}
	return out
}

// limit is how far bytes and dollars may be off, in cells of at least enough requests. What is promised is this limit for cells of
// 10,000 requests. To keep it with half of them is harder, and takes half the time.
const limit, enough = 0.02, 5000

// off returns the cells of at least least requests in which got is more than limit away from what really happened, and cells
// in which nothing happened.
func (c cells) off(t *testing.T, what string, got cells, least float64) (wrong []string) {
	t.Helper()
	keys := []cell{}
	for k := range c {
		keys = append(keys, k)
	}
	for k := range got {
		if c[k] == nil {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b cell) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	for _, k := range keys {
		want, is := c.at(k), got.at(k)
		bytes, usd := ratio(is.bytes, want.bytes), ratio(is.usd, want.usd)
		text := fmt.Sprintf("%s: %q at %s (endpoint %v): %.0f requests, %.0f bytes (%+.2f %%), $ %.6f (%+.2f %%)", what, k.cloud, k.store, k.endpoint,
			want.requests, is.bytes, 100*bytes, is.usd, 100*usd)
		if what != "" {
			t.Log(text)
		}
		if want.requests >= least && (math.Abs(bytes) > limit || math.Abs(usd) > limit) || want.requests == 0 && is.bytes > 0 {
			wrong = append(wrong, text)
		}
	}
	return wrong
}

func ratio(is, want float64) float64 {
	switch {
	case want == 0 && math.Abs(is) < 1e-6:
		return 0
	case want == 0:
		return 1
	}
	return is/want - 1
}

// learn learns from the logs of days.
func learn(t *testing.T, days ...*recording) *delivered.Factors {
	t.Helper()
	var l delivered.Learner
	cfg, err := config.Parse("report.yaml", []byte(reportConfig))
	if err != nil {
		t.Fatal(err)
	}
	classifier, err := usage.New(cfg, locator{}, usage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range days {
		for _, name := range []string{proxyLog, storeS3, storeGCS, storeAzure, storeCDN} {
			var reader accesslog.Reader
			err := reader.Read(t.Context(), name, strings.NewReader(d.logs[name]), func(rec *accesslog.Record) error {
				if use, why := classifier.Classify(rec); why.Reason == "" {
					l.Add(&use, rec)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return l.Factors()
}
