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
	} {
		if n, s := read(t, line); n != 0 || s.Malformed != 1 || !strings.Contains(s.Faults[0].Err, want) {
			t.Errorf("%s: %d requests, %+v, want %q", line, n, s, want)
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
	for name, most := range map[string]float64{"proxy.jsonl": 24, "google-lb.jsonl": 16, "proxy.txt": 4, "alb.log": 2, "combined.log": 4, "cloudfront.log": 4} {
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
		if name == "cloud-run.json" {
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
			if rec.Format != format || rec.Status < 0 || rec.Status > 999 || rec.Sent < Unknown || rec.Size < Unknown ||
				!(rec.Weight >= 0 && rec.Weight <= maxWeight) || rec.Client.Zone() != "" || rec.Client.Is4In6() {
				return fmt.Errorf("%+v", rec)
			}
			return nil
		})
		s := r.Stats()
		if err != nil || s.Lines < s.Other+s.Malformed+s.Formats[format] || s.Lines > int64(len(data)) {
			t.Errorf("%v %+v", err, s)
		}
	})
}

func FuzzProxyJSON(f *testing.F)    { fuzz(f, Proxy, "proxy.jsonl") }
func FuzzProxyText(f *testing.F)    { fuzz(f, Proxy, "proxy.txt") }
func FuzzCloudLogging(f *testing.F) { fuzz(f, CloudLogging, "google-lb.jsonl", "cloud-run.json") }
func FuzzALB(f *testing.F)          { fuzz(f, ALB, "alb.log") }
func FuzzCloudFront(f *testing.F)   { fuzz(f, CloudFront, "cloudfront.log") }
func FuzzCombined(f *testing.F)     { fuzz(f, Combined, "combined.log") }
