package logsource

import (
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/store"
	"ociproxy/internal/traffic"
)

func day(t testing.TB, text string) traffic.Day {
	t.Helper()
	name, ok := dateIn(text)
	if !ok {
		t.Fatalf("no date in %s", text)
	}
	return name.day
}

// TestDates has names as the providers document them.
func TestDates(t *testing.T) {
	for name, want := range map[string]string{
		// S3 server access logs, simple and date-based partitioning
		"2026-12-10-05-15-22-8F0E7A1B2C3D4E5F":                                             "2026-12-10",
		"access/2026-12-10-05-15-22-8F0E7A1B2C3D4E5F":                                      "2026-12-10",
		"123456789012/us-east-1/prod-use1/2026/12/10/2026-12-10-05-15-22-8F0E7A1B2C3D4E5F": "2026-12-10",
		// CloudFront
		"EMLARXS9EXAMPLE.2026-12-10-20.RT4KCN4SGK9.gz": "2026-12-10",
		// Google Cloud Storage
		"prod_usage_2026_12_10_05_00_00_1702a_v0": "2026-12-10",
		// Azure
		"resourceId=/subscriptions/0F/resourceGroups/G/providers/Microsoft.Storage/storageAccounts/a/blobServices/default/y=2026/m=12/d=10/h=05/m=00/PT1H.json": "2026-12-10",
		// load balancers, Fastly, logrotate
		"123456789012_elasticloadbalancing_us-east-1_app.lb.50dc6c495c0c9188_20261210T2340Z_172.160.001.192_20sg8hgm.log.gz": "2026-12-10",
		"2026-12-10T01:00:00.000-tkAQ8cjC7Fq1.log.gz": "2026-12-10",
		"access.log-20261210.gz":                      "2026-12-10",
		"access.log.1.gz":                             "",
		"123456789012.log":                            "", // an account
		"2026-13-10-x":                                "",
		"1999-12-10":                                  "",
	} {
		got, ok := dateIn(name)
		if text := got.day.String(); ok != (want != "") || ok && text != want {
			t.Errorf("%s: %s, %v, want %q", name, text, ok, want)
		}
	}
}

// FuzzDate wants names of any kind to be read without harm, and skips to go forward.
func FuzzDate(f *testing.F) {
	f.Add("EMLARXS9EXAMPLE.2026-12-10-20.RT4KCN4SGK9.gz")
	f.Add("default/y=2026/m=12/d=10/h=05/m=00/PT1H.json")
	f.Add("20261210")
	days := Days{Begin: day(f, "2026-12-05"), End: day(f, "2026-12-08")}
	f.Fuzz(func(t *testing.T, name string) {
		at, ok := dateIn(name)
		if !ok || days.Has(at.day) {
			return
		}
		to := days.seek(name, at)
		if to <= name {
			t.Errorf("%q, of %s, leads back to %q", name, at.day, to)
		}
		// What is wanted under the same beginning is not skipped.
		for d := days.Begin; d < days.End && at.day < days.Begin; d++ {
			if wanted := name[:at.at] + d.Time().Format(at.form); wanted > name && wanted < to {
				t.Errorf("%q is skipped from %q to %q", wanted, name, to)
			}
		}
	})
}

// TestList lists a bucket with logs of all kinds by days, and wants what a full list has, with few pages read.
func TestList(t *testing.T) {
	dir := t.TempDir()
	var all []string
	for d := day(t, "2026-10-25"); d < day(t, "2027-01-10"); d++ {
		at := strings.NewReplacer("YYYY", d.Time().Format("2006"), "MM", d.Time().Format("01"), "DD", d.Time().Format("02"))
		for _, form := range []string{
			"s3/YYYY-MM-DD-05-15-22-8F", "s3/YYYY/MM/DD/YYYY-MM-DD-05-15-22-8F", "cf/E1.YYYY-MM-DD-20.A.gz", "cf/E2.YYYY-MM-DD-20.A.gz",
			"g_usage_YYYY_MM_DD_05_00_00_1_v0", "az/y=YYYY/m=MM/d=DD/h=05/m=00/PT1H.json", "lb/YYYYMMDDT2340Z",
		} {
			all = append(all, at.Replace(form))
		}
	}
	all = append(all, "nothing.log", "s3/nothing.log")
	for _, name := range all {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := store.Open(t.Context(), "file://"+dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, days := range []Days{
		{}, {Begin: day(t, "2026-11-29"), End: day(t, "2026-12-02")}, {Begin: day(t, "2026-12-31"), End: day(t, "2027-01-02")}, {End: day(t, "2026-11-01")},
		{Begin: day(t, "2027-01-05")}, {Begin: 1, End: 2},
	} {
		var want, got, files []string
		for _, name := range all {
			if at, ok := dateIn(name); !ok || days.Has(at.day) {
				want = append(want, name)
			}
		}
		for _, s := range []*Source{{name: "bucket/", bucket: b}, {name: dir, text: dir}} {
			for o, err := range s.List(t.Context(), days) {
				if err != nil {
					t.Fatal(err)
				}
				if s.bucket != nil {
					got = append(got, o.Name)
				} else {
					files = append(files, strings.TrimPrefix(o.Name, dir+"/"))
				}
			}
		}
		slices.Sort(want)
		slices.Sort(files)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, bucket (-want +got):\n%s", days, diff)
		}
		if diff := cmp.Diff(want, files); diff != "" {
			t.Errorf("%s, directory (-want +got):\n%s", days, diff)
		}
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a.log")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(file)
	for range 2 { // two members, as a file that was appended to
		_, _ = io.WriteString(z, strings.Repeat("a line\n", 10_000)) // checked below
		_ = z.Close()
		z.Reset(file)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	read := func() (int, error) {
		s, err := Parse(t.Context(), filepath.Join(dir, "*.log"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		for o, err := range s.List(t.Context(), Days{}) {
			if err != nil {
				return 0, err
			}
			in, _, err := o.Open(t.Context(), nil)
			if err != nil {
				return 0, err
			}
			text, err := io.ReadAll(in)
			return len(text), errors.Join(err, in.Close())
		}
		return 0, nil
	}
	if n, err := read(); n != 140_000 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	t.Chdir(dir) // a run elsewhere must know the same logs again
	s, err := Parse(t.Context(), "*.log", Options{})
	if err != nil || s.String() != filepath.Join(dir, "*.log") {
		t.Errorf("%v, %v", s, err)
	}
	for o, err := range s.List(t.Context(), Days{}) {
		if err != nil || o.Name != name {
			t.Errorf("%+v, %v", o, err)
		}
	}
	info, _ := os.Stat(name)
	if err := os.Truncate(name, info.Size()-5); err != nil {
		t.Fatal(err)
	}
	if n, err := read(); n != 140_000 || !errors.Is(err, ErrDamaged) {
		t.Errorf("cut off: %d bytes, %v", n, err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if _, err := read(); !errors.Is(err, ErrNone) {
		t.Errorf("no file: %v", err)
	}
	s, err = Parse(t.Context(), "-", Options{Stdin: strings.NewReader("text")})
	if err != nil {
		t.Fatal(err)
	}
	for o := range s.List(t.Context(), Days{}) {
		if _, _, err := o.Open(t.Context(), nil); err != nil {
			t.Error(err)
		}
		if _, _, err := o.Open(t.Context(), nil); err == nil {
			t.Error("stdin was opened twice")
		}
	}
}
