package truth

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/accesslog/accesslogtest"
	"ociproxy/internal/delivered"
	"ociproxy/internal/usage"
)

// fault is one thing that goes wrong in the logs, in their delivery, or in what reads them. The report must notice it.
type fault struct {
	name string
	// notice is how it is noticed; see notices.
	notice string
	// store is whose log is read, beside the proxy's; "": all. change returns how often a line of it is there.
	store  string
	change func(q *accesslogtest.Request, n int) (times int)
	logs   func(l logs) logs
	config func(text string) string
	// dollars is what the dollars are multiplied with.
	dollars float64
	// proxy says that only the proxy's log is read.
	proxy bool
}

func faultsOf(day *recording) []fault {
	const kept, lost = 1, 0
	return []fault{
		{name: "a GB is taken for a GiB", notice: "cell", store: storeCDN, dollars: float64(1<<30) / 1e9},
		{name: "3 % of the lines are lost", notice: "incomplete", store: storeS3, change: func(_ *accesslogtest.Request, n int) int {
			if n%33 == 0 {
				return lost
			}
			return kept
		}},
		{name: "3 % of the lines come twice", notice: "duplicates", store: storeS3, change: func(_ *accesslogtest.Request, n int) int {
			if n%33 == 0 {
				return 2
			}
			return kept
		}},
		{name: "3 % of the requests are there twice, with another id", notice: "excess", store: storeAzure, logs: func(l logs) logs {
			var more strings.Builder
			n := 0
			for line := range strings.Lines(l[storeAzure]) {
				if n++; n%33 == 0 {
					more.WriteString(strings.Replace(line, `"CorrelationId":"`, `"CorrelationId":"x`, 1))
				}
			}
			l[storeAzure] += more.String()
			return l
		}},
		{name: "the log of the bucket behind the CDN counts as downloads", notice: "cell", store: "cdn-origin", change: func(q *accesslogtest.Request, _ int) int {
			q.Agent = "containerd/v2.1.4"
			return kept
		}, config: func(text string) string {
			text = strings.Replace(text, `cdn: cloudfront, bucket: "s3://blobs-cdn?region=us-east-1"`, "cdn: cloudfront", 1)
			return text + "  - {name: origin, place: aws/us-east-1, bucket: \"s3://blobs-cdn?region=us-east-1\", serves: [internet],\n" +
				"     url: \"https://blobs-cdn.s3.us-east-1.amazonaws.com/containers/images/{digest}\"}\n"
		}},
		{name: "a foreign bucket's lines", notice: "foreign", store: storeGCS, change: func(q *accesslogtest.Request, n int) int {
			if n%50 == 0 {
				q.Bucket = "someone-else"
			}
			return kept
		}},
		{name: "weights are ignored", notice: "cell", proxy: true, logs: func(l logs) logs {
			l = sample(l, 0)
			l[proxyLog] = strings.ReplaceAll(l[proxyLog], `"weight":10,`, `"weight":1,`)
			return l
		}},
		{name: "a HEAD counts as a download", notice: "cell", store: storeAzure, change: func(q *accesslogtest.Request, _ int) int {
			if q.Method == "HEAD" {
				q.Method, q.Sent = "GET", q.Size
			}
			return kept
		}},
		{name: "aborted downloads count whole", notice: "cell", store: storeCDN, change: func(q *accesslogtest.Request, _ int) int {
			if q.Aborted {
				q.Sent = q.Size
			}
			return kept
		}},
		{name: "ranges count whole", notice: "cell", proxy: true, logs: func(l logs) logs {
			l[proxyLog] = regexp.MustCompile(`"size":(\d+),"bytes":\d+`).ReplaceAllString(l[proxyLog], `"size":$1,"bytes":$1`)
			return l
		}},
		{name: "the wrong step of the ladder", notice: "cell", store: storeCDN, config: func(text string) string {
			return strings.Replace(text, "otherUsageTB: 5", "otherUsageTB: 2000", 1)
		}},
		{name: "private addresses count as internet", notice: "cell", store: storeS3, change: func(q *accesslogtest.Request, _ int) int {
			if q.Client.Addr().IsPrivate() {
				b := q.Client.Addr().As4()
				q.Client = addrPort(203, 0, 113, b[3])
			}
			return kept
		}},
		{name: "days of another time zone", notice: "other days", store: storeGCS, change: func(q *accesslogtest.Request, _ int) int {
			q.Time = q.Time.Add(-time.Since(day.day.Time()) - time.Minute)
			return kept
		}},
		{name: "lines that are cut off", notice: "malformed", store: storeS3, logs: func(l logs) logs {
			lines := strings.SplitAfter(l[storeS3], "\n")
			for i := 0; i < len(lines); i += 100 {
				lines[i] = lines[i][:len(lines[i])/3] + "\n"
			}
			l[storeS3] = strings.Join(lines, "")
			return l
		}},
	}
}

// seeded makes one fault after the other. Without one, nothing may be noticed.
func seeded(t *testing.T, day *recording, truth cells, factors *delivered.Factors) {
	for _, f := range append([]fault{{name: "none"}, {name: "none, of the proxy's log", proxy: true}}, faultsOf(day)...) {
		t.Run(f.name, func(t *testing.T) {
			l, opt, want := maps.Clone(day.logs), options{config: reportConfig}, truth
			if f.proxy {
				l, opt.each, want = l.only(proxyLog), factors.Apply, truth.joined()
			}
			if f.store != "" {
				l = l.only(f.store, proxyLog)
				l[proxyLog] = linesOf(l[proxyLog], f.store)
			}
			if f.change != nil {
				l[f.store] = changed(day, &f)
			}
			if f.logs != nil {
				l = f.logs(l)
			}
			if f.config != nil {
				opt.config = f.config(opt.config)
			}
			a := l.account(t, day.day, opt)
			got := a.notices(t, want, &f)
			if f.notice == "" && len(got) > 0 || f.notice != "" && !slices.ContainsFunc(got, func(n string) bool { return strings.HasPrefix(n, f.notice) }) {
				t.Errorf("noticed %q, want %q", got, f.notice)
			}
		})
	}
}

// linesOf returns the lines of the proxy's log about a store.
func linesOf(log, store string) string {
	var out strings.Builder
	for line := range strings.Lines(log) {
		if strings.Contains(line, fmt.Sprintf(`"candidate":%q`, store)) {
			out.WriteString(line)
		}
	}
	return out.String()
}

// changed returns a store's log with a fault.
func changed(day *recording, f *fault) string {
	shape := map[string]string{storeS3: "s3", "cdn-origin": "s3", storeGCS: "gcs", storeAzure: "azure-table", storeCDN: "cloudfront"}[f.store]
	var out []accesslogtest.Request
	for n, q := range day.requests[f.store] {
		for range f.change(&q, n) {
			out = append(out, q)
		}
	}
	return accesslogtest.Named(shape).File(out)
}

// notices returns what the report says is wrong, and where it differs from what really happened.
func (a *account) notices(t *testing.T, truth cells, f *fault) (out []string) {
	t.Helper()
	got, want := a.cells(), cells{}
	for k, is := range got {
		if f.dollars > 0 {
			is.usd *= f.dollars
		}
		if f.store != "" && k.store != f.store && truth[k] != nil {
			delete(got, k) // of the proxy's log
		}
	}
	for k, is := range truth {
		if f.store == "" || k.store == f.store {
			want[k] = is
		}
	}
	for _, text := range want.off(t, "", got, 1000) {
		out = append(out, "cell "+text)
	}
	for _, c := range a.Sources {
		switch {
		case c.Store == canonical || c.Complete == 0:
		case c.Complete < usage.Enough:
			out = append(out, fmt.Sprintf("incomplete %s: %.3f", c.Store, c.Complete))
		case c.Complete > 2-usage.Enough:
			out = append(out, fmt.Sprintf("excess %s: %.3f", c.Store, c.Complete))
		}
	}
	for _, l := range a.result.Left.List() {
		if l.Reason == usage.ForeignBucket || l.Reason == usage.ForeignHost {
			out = append(out, fmt.Sprintf("foreign %s: %d lines", l.Name, l.Lines))
		}
	}
	if n := a.counts.Duplicates; n > 0 {
		out = append(out, fmt.Sprintf("duplicates: %d", n))
	}
	if n := a.result.Passed; n > 0 {
		out = append(out, fmt.Sprintf("other days: %d", n))
	}
	if n := a.counts.Malformed; n > 0 {
		out = append(out, fmt.Sprintf("malformed: %d", n))
	}
	return out
}
