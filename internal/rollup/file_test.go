package rollup

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"ociproxy/internal/parquetfile/parquetfiletest"
	"ociproxy/internal/place"
	"ociproxy/internal/store"
	"ociproxy/internal/traffic"
)

func each[T any](all []T) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		for i := range all {
			if !yield(&all[i], nil) {
				return
			}
		}
	}
}

func randomRows(n int) []traffic.Row {
	lines := randomLines(rand.New(rand.NewPCG(1, 1)), n, 500)
	rows, _, _ := model(lines)
	return rows
}

func writeFile(t testing.TB, name string, m Meta, rows []traffic.Row) {
	t.Helper()
	var out bytes.Buffer
	if _, err := WriteRows(&out, m, each(rows)); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readAll(t testing.TB, from string, opt Options) (rows []traffic.Row, err error) {
	t.Helper()
	for r, err := range Read(t.Context(), from, opt) {
		if err != nil {
			return rows, err
		}
		rows = append(rows, *r)
	}
	return rows, nil
}

// TestRoundTrip writes rows and objects and reads them from a directory, a pattern, a file and a bucket.
func TestRoundTrip(t *testing.T) {
	dir, rows := t.TempDir(), randomRows(3000)
	m := Meta{Logs: "s3://logs/prod/", LogDay: "2026-12-10", Counts: Counts{Lines: 7, Left: map[string]int64{"foreign-host": 3}},
		Covers: []Cover{{1, 2}, {3, 1 << 63}}, From: []traffic.Source{traffic.FromStore}}
	name := filepath.Join(dir, Name(Rows, m.LogDay, m.Logs))
	writeFile(t, name, m, rows)
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rows, %.1f bytes each", len(rows), float64(info.Size())/float64(len(rows)))
	for _, from := range []string{dir, name, filepath.Join(dir, "rows/*/*.parquet"), "file://" + dir} {
		got, err := readAll(t, from, Options{})
		if err != nil {
			t.Fatalf("%s: %v", from, err)
		}
		if diff := gocmp.Diff(rows, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", from, diff)
		}
	}
	infos, err := Infos(t.Context(), dir, Options{})
	m.Kind = Rows
	if want := []Info{{name, int64(len(rows)), info.Size(), m}}; err != nil || gocmp.Diff(want, infos) != "" {
		t.Errorf("%v, %s", err, gocmp.Diff(want, infos))
	}
	b, err := store.Open(t.Context(), "file://"+dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	about, _, err := About(t.Context(), b, Name(Rows, m.LogDay, m.Logs), info.Size()+1, Rows) // the list was of before
	if err != nil || gocmp.Diff(&m, about) != "" {
		t.Errorf("%v, %s", err, gocmp.Diff(&m, about))
	}
	days, err := readAll(t, dir, Options{Begin: rows[0].Day, End: rows[0].Day + 1})
	if err != nil || len(days) == 0 || len(days) >= len(rows) {
		t.Errorf("%d of %d rows are of the first day: %v", len(days), len(rows), err)
	}
	objects := []traffic.Object{
		{Digest: "sha256:" + strings.Repeat("0", 64), Month: monthOf(rows[0].Day), Client: place.Place{Cloud: "aws", Region: "eu-west-1"}, Requests: 3, Bytes: 1 << 40},
		{Month: monthOf(rows[0].Day), Requests: 1},
	}
	var out bytes.Buffer
	if _, err := WriteObjects(&out, m, each(objects)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "o.parquet")
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for source, want := range map[traffic.Source]int{"": 2, traffic.FromStore: 2, traffic.FromProxy: 0} {
		var got []traffic.Object
		for o, err := range ReadObjects(t.Context(), file, Options{From: source}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, *o)
		}
		if len(got) != want || want > 0 && gocmp.Diff(objects, got) != "" {
			t.Errorf("source %q: %v", source, got)
		}
	}
}

// TestBounds wants rows refused that a reader would refuse.
func TestBounds(t *testing.T) {
	for name, change := range map[string]func(*traffic.Row){
		"a long text":   func(r *traffic.Row) { r.Repository = strings.Repeat("x", MaxText+1) },
		"a class":       func(r *traffic.Row) { r.Class = "friend" },
		"a day":         func(r *traffic.Row) { r.Day = -1 },
		"a far day":     func(r *traffic.Row) { r.Day = lastDay + 1 },
		"negative":      func(r *traffic.Row) { r.Bytes = -1 },
		"not a number":  func(r *traffic.Row) { r.Requests = zero / zero },
		"too much":      func(r *traffic.Row) { r.Squares = 1 / zero },
		"negative line": func(r *traffic.Row) { r.Lines = -1 },
	} {
		row := traffic.Row{Key: traffic.Key{Day: 1, Class: traffic.Client}, Requests: 1}
		change(&row)
		if _, err := WriteRows(&bytes.Buffer{}, Meta{}, each([]traffic.Row{row})); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := WriteRows(&bytes.Buffer{}, Meta{Covers: make([]Cover, MaxCovers+1)}, each([]traffic.Row{})); err == nil {
		t.Error("too many log objects: no error")
	}
}

var zero float64

// TestForeign wants a clear error for each file that is no roll-up.
func TestForeign(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.parquet")
	writeFile(t, good, Meta{}, randomRows(1000))
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	foreign := func(options ...parquet.WriterOption) []byte {
		var out bytes.Buffer
		w := parquet.NewGenericWriter[struct {
			Day   string `parquet:"day"`
			Bytes int64  `parquet:"bytes"`
		}](&out, options...)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	mine := []parquet.WriterOption{parquet.KeyValueMetadata(metaKind, "rows"), parquet.KeyValueMetadata(metaAbout, "{}")}
	for name, c := range map[string]struct {
		text []byte
		want string
	}{
		"empty":     {nil, "too short"},
		"no-magic":  {bytes.Repeat([]byte("x"), 100), "no Parquet file"},
		"cut":       {text[:len(text)-9], "no Parquet file"},
		"footer":    {append(text[:len(text)-8:len(text)-8], "\xff\xff\xff\x7fPAR1"...), "a footer of 2147483647"},
		"no-rollup": {foreign(), "it is no roll-up"},
		"version":   {foreign(parquet.KeyValueMetadata(metaVersion, "2")), "use a newer oci-proxyctl"},
		"kind":      {foreign(parquet.KeyValueMetadata(metaVersion, "1"), parquet.KeyValueMetadata(metaKind, "objects")), `"rows" were to be read`},
		"column":    {foreign(append(mine, parquet.KeyValueMetadata(metaVersion, "1"))...), "the column day is"},
	} {
		file := filepath.Join(dir, name+".parquet")
		if err := os.WriteFile(file, c.text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := readAll(t, file, Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := readAll(t, t.TempDir(), Options{}); !errors.Is(err, ErrNone) {
		t.Errorf("an empty directory: %v", err)
	}
}

// TestManyFiles reads more files than are decoded at once, in their order. Files of rows alone are roll-ups, too. A reader
// that stops leaves nothing behind, and a damaged file is told after the rows of those before it.
func TestManyFiles(t *testing.T) {
	dir, all := t.TempDir(), randomRows(20_000)[:9_000]
	var names []string
	for i := range 30 {
		name := filepath.Join(dir, Name(Rows, traffic.Day(20788+i).String(), "s3://logs/"))
		writeFile(t, name, Meta{}, all[i*300:(i+1)*300])
		names = append(names, name)
	}
	got, err := readAll(t, dir, Options{})
	if diff := gocmp.Diff(all, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for range Read(t.Context(), dir, Options{}) {
		break
	}
	for _, from := range []string{dir, names[0], filepath.Join(dir, "rows/*/*.parquet")} {
		for o, err := range ReadObjects(t.Context(), from, Options{}) {
			t.Errorf("objects of %s: %v, %v", from, o, err)
		}
	}
	if err := os.Truncate(names[3], 100); err != nil {
		t.Fatal(err)
	}
	if got, err = readAll(t, dir, Options{}); err == nil || !strings.Contains(err.Error(), names[3]) || len(got) != 900 {
		t.Errorf("%d rows and then %v", len(got), err)
	}
}

func newBatch() []traffic.Row { return make([]traffic.Row, batchRows) }

// TestHostile: a page that says it has 2 GiB is refused before memory is taken for it.
func TestHostile(t *testing.T) {
	var out bytes.Buffer
	if _, err := WriteRows(&out, Meta{}, each(randomRows(50))); err != nil {
		t.Fatal(err)
	}
	o, err := open[fileRow](bytes.NewReader(out.Bytes()), int64(out.Len()), Rows)
	if err != nil {
		t.Fatal(err)
	}
	parquetfiletest.Hostile(out.Bytes(), &o.file.Metadata().RowGroups[0].Columns[0].MetaData)
	err = decodeRows(o, &Options{}, newBatch, func([]traffic.Row) bool { return true })
	if err == nil || !strings.Contains(err.Error(), "a page of 2147483647 bytes") {
		t.Error(err)
	}
}

// FuzzRead reads damaged files. Whatever they have, reading ends, and rows keep the bounds. It tries fewer than 1,000
// files a second, because the library sets up readers for thirteen columns.
func FuzzRead(f *testing.F) {
	var out bytes.Buffer
	if _, err := WriteRows(&out, Meta{Covers: []Cover{{1, 2}}}, each(randomRows(50))); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes())
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<20 {
			return
		}
		o, err := open[fileRow](bytes.NewReader(text), int64(len(text)), Rows)
		if err != nil {
			return
		}
		n := int64(0)
		_ = decodeRows(o, &Options{}, newBatch, func(batch []traffic.Row) bool { // the file may be damaged
			if n += int64(len(batch)); n > o.file.NumRows() {
				t.Fatalf("more rows than %d", o.file.NumRows())
			}
			if _, err := WriteRows(io.Discard, Meta{}, each(batch)); err != nil {
				t.Fatal(err)
			}
			return n < 10_000
		})
	})
}

// TestTables wants the tables that we ship for query engines to have the columns of the files.
func TestTables(t *testing.T) {
	types := map[parquet.Kind]map[string]string{
		parquet.Int32:     {"bigquery": "DATE", "athena": "date"},
		parquet.Int64:     {"bigquery": "INT64", "athena": "bigint"},
		parquet.Double:    {"bigquery": "FLOAT64", "athena": "double"},
		parquet.ByteArray: {"bigquery": "STRING", "athena": "string"},
	}
	for engine := range types[parquet.Int32] {
		text, err := os.ReadFile("../../deploy/sql/" + engine + ".sql")
		if err != nil {
			t.Fatal(err)
		}
		for table, schema := range map[string]*parquet.Schema{"rollup_rows": parquet.SchemaOf(fileRow{}), "rollup_objects": parquet.SchemaOf(fileObject{})} {
			var want []string
			for _, path := range schema.Columns() {
				leaf, _ := schema.Lookup(path...)
				want = append(want, "  "+path[0]+" "+types[leaf.Node.Type().Kind()][engine])
			}
			if !strings.Contains(string(text), table+" (\n"+strings.Join(want, ",\n")+"\n)") {
				t.Errorf("%s.sql: %s does not have the columns\n%s", engine, table, strings.Join(want, ",\n"))
			}
		}
	}
}
