package accesslog

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

// read returns the number of requests in text, and what was counted.
func read(t *testing.T, text string) (int, *Stats) {
	t.Helper()
	var r Reader
	n := 0
	if err := r.Read(t.Context(), "log", strings.NewReader(text), func(*Record) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n, r.Stats()
}

func sample(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Files are known to be compressed by their content, whatever their names are. Several gzip files in one are one log, as
// they are for zcat.
func TestCompressed(t *testing.T) {
	plain := sample(t, "combined.log")
	var gz, zst bytes.Buffer
	for range 2 {
		w := gzip.NewWriter(&gz)
		_, err := w.Write(plain)
		z, zerr := zstd.NewWriter(&zst)
		if zerr != nil {
			t.Fatal(zerr)
		}
		_, zerr = z.Write(plain)
		if err := errors.Join(err, zerr, w.Close(), z.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for what, data := range map[string][]byte{"plain": append(plain, plain...), "gzip": gz.Bytes(), "zstd": zst.Bytes()} {
		file := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{file, "-"} {
			var r Reader
			n := 0
			count := func(*Record) error { n++; return nil }
			if err := r.ReadFile(t.Context(), name, bytes.NewReader(data), count); err != nil || n != 8 {
				t.Errorf("%s: %d requests, want 8: %v", what, n, err)
			}
		}
		if what == "plain" {
			continue
		}
		// What is before the damage counts, and the error names the file.
		var r Reader
		n := 0
		err := r.ReadFile(t.Context(), "-", bytes.NewReader(data[:len(data)-9]), func(*Record) error { n++; return nil })
		if err == nil || !strings.HasPrefix(err.Error(), "read stdin: ") || n < 4 {
			t.Errorf("%s cut off: %d requests, %v", what, n, err)
		}
	}
	var r Reader
	if err := r.ReadFile(t.Context(), filepath.Join(t.TempDir(), "none"), nil, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// No line stops the reader. Those that are no lines of a log are counted, and the first ones kept.
func TestMalformed(t *testing.T) {
	good := strings.SplitAfter(string(sample(t, "combined.log")), "\n")[0]
	n, s := read(t, good+strings.Repeat("what is this\n", 7)+"\n   \n# comment\n"+good)
	if n != 2 || s.Lines != 9 || s.Malformed != 7 || len(s.Faults) != maxFaults || s.Faults[0].String() != "log:2: it has the form of no log that is known here" {
		t.Errorf("%d requests, %+v", n, s)
	}
	for line, want := range map[string]string{
		`{`:                                     "not valid JSON",
		`{} {}`:                                 "more follows the object",
		`{"a":1}`:                               "no line of oci-proxy, CloudFront",
		`{"httpRequest":{"status":"x"}}`:        `"status": "x"`,
		`{"httpRequest":{"remoteIp":"nobody"}}`: `"remoteIp": "nobody"`,
		`{"timestamp":"2026-11-30T04:00:00Z","httpRequest":{}}`:                                      "no remoteIp",
		`{"timestamp":"yesterday","httpRequest":{}}`:                                                 `"yesterday" is no time`,
		`{"msg":"request","time":"2026-11-30T04:00:00Z"}`:                                            `status ""`,
		`{"msg":"request","time":"2026-11-30T04:00:00Z","status":200,"weight":-1}`:                   `weight "-1"`,
		`{"msg":"request","time":"2026-11-30T04:00:00Z","status":200,"weight":1e300}`:                `weight "1e300"`,
		`{"msg":"request","time":"2026-11-30T04:00:00Z","status":200,"client":"192.0.2.0/99"}`:       `client "192.0.2.0/99"`,
		`time=2026-11-30T04:00:00Z msg="request`:                                                     "quotes of msg do not end",
		`time=2026-11-30T04:00:00Z nothing`:                                                          "a value without a key",
		`time=2026-11-30T04:00:00Z level=INFO`:                                                       "no msg",
		`http 2018-07-02T22:23:00.186641Z app/x`:                                                     "too few fields",
		`http now app/x 192.0.2.1:1 - 0 0 0 200 200 1 1 "GET / HTTP/1.1" "-"`:                        `"now" is no time`,
		`http 2018-07-02T22:23:00.186641Z app/x me - 0 0 0 200 200 1 1 "GET / HTTP/1.1" "-"`:         `"me" is no client:port`,
		`http 2018-07-02T22:23:00.186641Z app/x 192.0.2.1:1 - 0 0 0 OK 200 1 1 "GET / HTTP/1.1" "-"`: `"OK" is no status`,
		"2019-12-04\t21:02:31\tLAX1":                                                                 "a field is missing",
		`someone - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 1`:                            `"someone" is no address`,
		`192.0.2.1 - - [10/Oct/2000 13:55] "GET / HTTP/1.0" 200 1`:                                   `"10/Oct/2000 13:55" is no time`,
		`192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0"`:                                "too few fields",
		s3Line[:len(s3Line)/2]: "too few fields",
		s3Line[:30]:            "the form of no log",
		strings.Replace(s3Line, "12/Dec", "32/Dec", 1):                                                                     `"32/Dec/2026:08:15:42 +0000" is no time`,
		strings.Replace(s3Line, "12/Dec", "30/Feb", 1):                                                                     `is no time`,
		strings.Replace(s3Line, "08:15", "08:75", 1):                                                                       `is no time`,
		strings.Replace(s3Line, " 203.0.113.9 ", " nobody ", 1):                                                            `"nobody" is no address`,
		strings.Replace(s3Line, " 3145728 ", " many ", 1):                                                                  `"many" is no number of bytes`,
		gcsLine[:len(gcsLine)/2]:                                                                                           "quotes do not end",
		strings.Join(strings.SplitAfter(gcsLine, ",")[:9], ""):                                                             "too few fields",
		strings.Replace(gcsLine, `"203.0.113.9"`, `"nobody"`, 1):                                                           `"nobody" is no address`,
		strings.Replace(gcsLine, `"200"`, `"OK"`, 1):                                                                       `"OK" is no status`,
		azureLine1[:len(azureLine1)/2]:                                                                                     "not valid JSON",
		strings.Replace(azureLine1, "2026-12-12T", "yesterday ", 1):                                                        "is no time",
		strings.Replace(azureLine1, `"operationName"`, `"operation"`, 1):                                                   "it has no operation",
		strings.Replace(azureLine1, "203.0.113.9:41234", "nobody", 1):                                                      `"nobody" is no address`,
		strings.Replace(azureLine1, `:200,`, `:"OK",`, 1):                                                                  `"OK" is no status`,
		`{"date":"2026-12-12","c-ip":"192.0.2.1","cs-method":"GET"}`:                                                       "a field is missing",
		`{"date":"2026-12-12","time":"24:00:00","c-ip":"192.0.2.1","cs-method":"GET","cs-uri-stem":"/","sc-status":"200"}`: `"2026-12-12 24:00:00" is no time`,
	} {
		if n, s := read(t, line); n != 0 || s.Malformed != 1 || !strings.Contains(s.Faults[0].Err, want) {
			t.Errorf("%s: %d requests, %+v, want %q", line, n, s, want)
		}
	}
}

// lineOf returns a line of a sample, from 0.
func lineOf(name string, n int) string {
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		panic(err)
	}
	return strings.Split(string(data), "\n")[n]
}

var s3Line, gcsLine, azureLine1 = lineOf("s3.log", 0), lineOf("gcs.csv", 1), lineOf("azure.jsonl", 0)

// TestUnknownFields: what a provider adds is counted and named, and the lines are read.
func TestUnknownFields(t *testing.T) {
	for name, want := range map[string]map[string]int64{
		"s3.log":            {"field 28": 1, "field 29": 1},
		"cloudfront-v2.log": {"edge-mood": 1},
		"cloudfront.jsonl":  {"novelty": 1},
		"azure.jsonl":       {"moodHeader": 1},
		"gcs.csv":           nil,
		"proxy.jsonl":       nil,
		"google-lb.jsonl":   nil,
	} {
		_, s := read(t, string(sample(t, name)))
		if d := cmp.Diff(want, s.Unknown); d != "" {
			t.Errorf("%s (-want +got)\n%s", name, d)
		}
	}
	_, s := read(t, strings.Replace(string(sample(t, "gcs.csv")), `"c_ip_region"`, `"c_mood"`, 1))
	if s.Unknown["c_mood"] != 1 || len(s.Unknown) != 1 {
		t.Errorf("%v", s.Unknown)
	}
	// Names have a bound.
	var text strings.Builder
	for i := range 3 * maxUnknown {
		fmt.Fprintf(&text, `{"date":"2026-12-12","time":"08:15:42","c-ip":"192.0.2.1","cs-method":"GET","cs-uri-stem":"/","sc-status":"200","new-%d":1}`+"\n", i)
	}
	n, s := read(t, text.String())
	if n != 3*maxUnknown || len(s.Unknown) != maxUnknown+1 || s.Unknown[manyUnknown] != 2*maxUnknown {
		t.Errorf("%d lines, %d names, %v", n, len(s.Unknown), s.Unknown[manyUnknown])
	}
}

// TestNoSecrets: of a query only x-rid is kept, because the rest may sign a request.
func TestNoSecrets(t *testing.T) {
	for name := range shapes {
		var r Reader
		err := r.ReadFile(t.Context(), filepath.Join("testdata", name), nil, func(rec *Record) error {
			if text := fmt.Sprintf("%+v", *rec); strings.Contains(text, "secret") || strings.Contains(text, "?") {
				t.Errorf("%s: %s", name, text)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	for query, want := range map[string]string{
		"x-rid=a": "a", "a=b&x-rid=A-Z_0.9~&c": "A-Z_0.9~", "x-rid=a%2Fb": "", "xx-rid=a": "", "x-rid=" + strings.Repeat("a", maxRID+1): "",
		"x-rid=": "", "-": "", "": "", "x-rid=a b": "", "x-rid=a&x-rid=b": "a",
	} {
		var rec Record
		rec.setQuery(query)
		if rec.RID != want {
			t.Errorf("%s: %q, want %q", query, rec.RID, want)
		}
	}
}

// A client can put quotes and numbers into its target and its agent, and so change nothing that is counted.
func TestS3Forged(t *testing.T) {
	for _, tt := range []struct{ request, agent string }{
		{`GET /a"200 HTTP/1.1`, `x`},
		{`GET /a"%20200%20-%209 HTTP/1.1`, `" 200 - 99 99 1 1 "-" "y`},
		{`GET /" 206 - 77 77 1 1 "-" "-" - HTTP/1.1`, `a" - b`},
	} {
		line := fmt.Sprintf(`o b [12/Dec/2026:08:15:42 +0000] 192.0.2.1 - ID REST.GET.OBJECT k "%s" 404 NoSuchKey 243 - 1 1 "-" "%s" - h - c - host.example TLSv1.3 - -`, tt.request, tt.agent)
		var r Reader
		err := r.Read(t.Context(), "log", strings.NewReader(line), func(rec *Record) error {
			// The target of a request has no blanks, so the last case cannot come from S3; it only must not do harm.
			if blanks := strings.Count(tt.request, " ") > 3; !blanks && (rec.Status != 404 || rec.Sent != 243) || rec.Host != "host.example" {
				t.Errorf("%s: %+v", line, rec)
			}
			return nil
		})
		if err != nil || r.Stats().Malformed > 0 {
			t.Errorf("%v %+v", err, r.Stats())
		}
	}
}

// TestLayouts: declared layouts, and what is wrong with some.
func TestLayouts(t *testing.T) {
	const want = "2026-12-12T08:15:42Z 192.0.2.7 cdn.example.org /a 206 100 containerd ID r1 2"
	for _, tt := range []struct{ layout, line string }{
		{"tab: time client - host path status sent agent id weight", "2026-12-12T08:15:42Z\t192.0.2.7:81\tx\tcdn.example.org:443\t/a?s=1&x-rid=r1\t206\t100\tcontainerd\tID\t2\tmore"},
		{"space: client time path query status sent agent id host weight", `192.0.2.7 [12/Dec/2026:09:15:42 +0100] /a x-rid=r1 206 100 "containerd" ID CDN.example.org 2`},
		{"comma: time client host path status sent agent id weight", `1797063342,192.0.2.7,cdn.example.org,"/a?x-rid=r1",206,100,"containerd",ID,2.0`},
		{"pipe: time client path status sent agent id weight -", "2026-12-12 08:15:42|[::ffff:192.0.2.7]:81|https://cdn.example.org/a?x-rid=r1|206|100|containerd|ID|2|-"},
		{"json: time=t client=req.ip path=req.url status=resp.status sent=resp.bytes agent=ua id=id weight=w", `{"t":1797063342000,"req":{"ip":"192.0.2.7","url":"https://cdn.example.org/a?x-rid=r1","x":[1]},"resp":{"status":206,"bytes":"100"},"ua":"containerd","id":"ID","w":2}`},
	} {
		l, err := ParseLayout(tt.layout)
		if err != nil {
			t.Errorf("%s: %v", tt.layout, err)
			continue
		}
		r := Reader{Layout: l}
		got := ""
		err = r.Read(t.Context(), "log", strings.NewReader(tt.line+"\n"), func(rec *Record) error {
			got = fmt.Sprintf("%s %s %s %s %d %d %s %s %s %v", rec.Time.Format(time.RFC3339), rec.Client, rec.Host, rec.Path, rec.Status, rec.Sent, rec.UserAgent, rec.RequestID, rec.RID, rec.Weight)
			return nil
		})
		if err != nil || got != want || r.Stats().Formats[Declared] != 1 {
			t.Errorf("%s: %q, %v, %+v", tt.layout, got, err, r.Stats())
		}
	}
	for layout, want := range map[string]string{
		"time client path sent":                                 "begins with tab:",
		"semicolon: time client path sent":                      "begins with tab:",
		"tab: time client path bytes":                           `"bytes" is no field: time client`,
		"tab: time client path":                                 "needs the field sent",
		"tab: time client sent":                                 "needs the field path, or key",
		"tab: time time client path sent":                       "the field time stands twice",
		"tab: time=t client path sent":                          "only with json",
		"json: time client=c path=p sent=s":                     "time=KEY",
		"json: time=t client=t path=p sent=s":                   `the key "t" stands twice`,
		"tab: time client path sent" + strings.Repeat(" -", 64): "more than 64 fields",
	} {
		if _, err := ParseLayout(layout); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", layout, err, want)
		}
	}
	for line, want := range map[string]string{
		"2026-12-12T08:15:42Z\t192.0.2.7\t/a":     "too few fields",
		"yesterday\t192.0.2.7\t/a\t1":             `"yesterday" is no time`,
		"-\t192.0.2.7\t/a\t1":                     "it has no time",
		"2026-12-12T08:15:42Z\tnobody\t/a\t1":     `"nobody" is no client`,
		"2026-12-12T08:15:42Z\t192.0.2.7\t/a\t-1": `"-1" is no sent`,
	} {
		l, err := ParseLayout("tab: time client path sent")
		if err != nil {
			t.Fatal(err)
		}
		r := Reader{Layout: l}
		err = r.Read(t.Context(), "log", strings.NewReader(line+"\n"), func(*Record) error { return errors.New("it is read") })
		if s := r.Stats(); err != nil || s.Malformed != 1 || !strings.Contains(s.Faults[0].Err, want) {
			t.Errorf("%s: %v %+v, want %q", line, err, s, want)
		}
	}
}

// A line that does not end is skipped in the memory of one line, also within an array.
func TestLongLines(t *testing.T) {
	good := strings.SplitAfter(string(sample(t, "combined.log")), "\n")[0]
	long := strings.Repeat("x", 3*MaxLine)
	n, s := read(t, good+long+"\n"+good)
	if n != 2 || s.Malformed != 1 || s.Faults[0].String() != "log:2: it has more than 256 KiB" {
		t.Errorf("%d requests, %+v", n, s)
	}
	array := string(sample(t, "cloud-run.json"))
	for what, more := range map[string]string{
		"a long line":   "  {\n    \"a\": \"" + long + "\"\n  },\n",
		"many lines":    "  {\n" + strings.Repeat("    \"a\": 1,\n", MaxLine/4) + "    \"a\": 1\n  },\n",
		"no object":     "  1,\n",
		"a wrong brace": "  {\n    }\n  },\n",
	} {
		n, s := read(t, strings.Replace(array, "[\n", "[\n"+more, 1))
		if n != 1 || s.Malformed != 1 || s.Faults[0].Line != 2 {
			t.Errorf("%s: %d requests, %+v", what, n, s)
		}
	}
	if n, s := read(t, array[:len(array)/3]); n != 0 || s.Malformed != 1 || s.Faults[0].String() != "log:2: the file ends within this entry" {
		t.Errorf("half an array: %d requests, %+v", n, s)
	}
}

// Reading stops with the context and with the first error of the caller, and tells of its progress.
func TestStops(t *testing.T) {
	log := bytes.Repeat(sample(t, "combined.log"), 1000)
	ctx, stop := context.WithCancel(t.Context())
	r, n := Reader{}, 0
	r.Progress = func(s *Stats) { n = int(s.Lines) }
	err := r.Read(ctx, "log", bytes.NewReader(log), func(*Record) error { stop(); return nil })
	if !errors.Is(err, context.Canceled) || n > 2048 || n == 0 && r.Stats().Lines > 1024 {
		t.Errorf("stopped after %d lines: %v", r.Stats().Lines, err)
	}
	fault := errors.New("full")
	if err := r.Read(t.Context(), "log", bytes.NewReader(log), func(*Record) error { return fault }); !errors.Is(err, fault) {
		t.Error(err)
	}
	broken := io.MultiReader(bytes.NewReader(log[:1000]), failing{})
	if err := r.Read(t.Context(), "log", broken, func(*Record) error { return nil }); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

// Every parser takes one text for the line and a few for the values, so that a log of any length costs the same memory.
func TestAllocations(t *testing.T) {
	for name, most := range map[string]float64{"proxy.jsonl": 24, "google-lb.jsonl": 16, "proxy.txt": 4, "alb.log": 2, "combined.log": 4, "cloudfront.log": 1,
		"cloudfront.jsonl": 20, "s3.log": 1, "gcs.csv": 1, "azure.jsonl": 24} {
		lines := bytes.Split(bytes.TrimSpace(sample(t, name)), []byte("\n"))
		line := lines[len(lines)-2]
		var r Reader
		got := testing.AllocsPerRun(100, func() {
			r.record.reset()
			if _, err := r.parse(line); err != nil {
				t.Fatal(err)
			}
		})
		if got > most {
			t.Errorf("%s: %v allocations for a line, at most %v", name, got, most)
		}
		t.Logf("%s: %v", name, got)
	}
}

func BenchmarkParse(b *testing.B) {
	for name := range shapes {
		if strings.HasSuffix(name, ".json") {
			continue // its entries have many lines
		}
		b.Run(name, func(b *testing.B) {
			log := sample(b, name)
			n := bytes.Count(log, []byte("\n"))
			var r Reader
			for b.Loop() {
				if err := r.Read(b.Context(), name, bytes.NewReader(log), func(*Record) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}

// fuzz checks that no line makes the parser fail, and what holds of every record.
func fuzz(f *testing.F, format Format, names ...string) {
	for _, name := range names {
		for line := range bytes.Lines(sample(f, name)) {
			f.Add(line)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := Reader{Format: format}
		err := r.Read(t.Context(), "log", bytes.NewReader(data), func(rec *Record) error {
			return sane(rec, format)
		})
		s := r.Stats()
		if err != nil || s.Lines < s.Other+s.Malformed+s.Formats[format] || s.Lines > int64(len(data)) {
			t.Errorf("%v %+v", err, s)
		}
	})
}

// sane says what is wrong with a record.
func sane(rec *Record, format Format) error {
	if rec.Format != format || rec.Status < 0 || rec.Status > 999 || rec.Sent < Unknown || rec.Size < Unknown || rec.Span < Unknown ||
		!(rec.Weight >= 0 && rec.Weight <= maxWeight) || rec.Client.Zone() != "" || rec.Client.Is4In6() || len(rec.RID) > maxRID ||
		strings.ContainsAny(rec.RID, "&= \"%") || strings.Contains(rec.Path, "?") || rec.Line < 1 {
		return fmt.Errorf("%+v", rec)
	}
	return nil
}

func FuzzProxyJSON(f *testing.F)      { fuzz(f, Proxy, "proxy.jsonl") }
func FuzzProxyText(f *testing.F)      { fuzz(f, Proxy, "proxy.txt") }
func FuzzCloudLogging(f *testing.F)   { fuzz(f, CloudLogging, "google-lb.jsonl", "cloud-run.json") }
func FuzzALB(f *testing.F)            { fuzz(f, ALB, "alb.log") }
func FuzzCloudFront(f *testing.F)     { fuzz(f, CloudFront, "cloudfront.log") }
func FuzzCombined(f *testing.F)       { fuzz(f, Combined, "combined.log") }
func FuzzS3(f *testing.F)             { fuzz(f, S3, "s3.log") }
func FuzzCloudFrontJSON(f *testing.F) { fuzz(f, CloudFrontJSON, "cloudfront.jsonl") }
func FuzzGCS(f *testing.F)            { fuzz(f, GCS, "gcs.csv") }
func FuzzAzure(f *testing.F)          { fuzz(f, Azure, "azure.jsonl", "azure-table.json") }

// FuzzDeclared tries layouts and lines.
func FuzzDeclared(f *testing.F) {
	f.Add("tab: time client - host path status sent agent id weight", "2026-12-12T08:15:42Z\t192.0.2.7:81\tx\th\t/a?x-rid=r1\t206\t100\tc\tID\t2")
	f.Add("space: client time path query status sent", `192.0.2.7 [12/Dec/2026:09:15:42 +0100] /a x-rid=r1 206 100`)
	f.Add("comma: time client host path sent", `1797063342,192.0.2.7,h,"/a?x-rid=r1",206`)
	f.Add("json: time=t client=req.ip key=req.url sent=resp.bytes size=s bucket=b requester=r operation=o", `{"t":1.5,"req":{"ip":"192.0.2.7","url":"k"},"resp":{"bytes":"100"}}`)
	f.Fuzz(func(t *testing.T, layout, line string) {
		l, err := ParseLayout(layout)
		if err != nil {
			return
		}
		r := Reader{Layout: l}
		err = r.Read(t.Context(), "log", strings.NewReader(line), func(rec *Record) error { return sane(rec, Declared) })
		if err != nil {
			t.Error(err)
		}
	})
}
