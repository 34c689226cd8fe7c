package rollup

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"ociproxy/internal/place"
	"ociproxy/internal/traffic"
)

// line is a request as the model knows it.
type line struct {
	key    traffic.Key
	count  float64
	bytes  float64
	id     string
	at     time.Time
	digest string
}

var begin = time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)

// randomLines makes lines of few keys, with duplicates: some within the window, some outside.
func randomLines(r *rand.Rand, n, repositories int) []line {
	places := []place.Place{{}, {Cloud: "aws", Region: "us-east-1"}, {Cloud: "aws", Region: "us-east-2"}, {Cloud: "gcp", Region: "europe-west1"}}
	all := make([]line, 0, n)
	for len(all) < n {
		if len(all) > 0 && r.IntN(10) == 0 {
			copied := all[r.IntN(len(all))]
			if copied.id != "" && r.IntN(3) == 0 {
				copied.at = copied.at.Add(2*time.Hour + time.Duration(r.IntN(3600))*time.Second)
			}
			all = append(all, copied)
			continue
		}
		at := begin.Add(time.Duration(r.IntN(4*86400)) * time.Second)
		one := line{
			key: traffic.Key{
				Day: traffic.DayOf(at), Client: places[r.IntN(len(places))], Store: []string{"s3-use1", "gcs-euw1", "cdn"}[r.IntN(3)],
				Class: traffic.Classes()[r.IntN(3)], Operation: traffic.Get, Source: traffic.FromStore,
				Repository: fmt.Sprintf("team/app-%d", r.IntN(repositories)),
			},
			count: 1, bytes: float64(r.IntN(1 << 30)), at: at,
		}
		if r.IntN(5) > 0 {
			one.id = fmt.Sprintf("%016X", r.Uint64())
		}
		if r.IntN(2) == 0 {
			one.digest = fmt.Sprintf("sha256:%064x", r.IntN(100))
		}
		all = append(all, one)
	}
	return all
}

// model adds up lines in the simplest way.
func model(lines []line) (rows []traffic.Row, objects map[traffic.Object]traffic.Object, duplicates int64) {
	sorted := slices.Clone(lines)
	slices.SortStableFunc(sorted, func(a, b line) int { return a.at.Compare(b.at) })
	kept := map[string]time.Time{}
	sum, objects := map[traffic.Key]*traffic.Row{}, map[traffic.Object]traffic.Object{}
	for _, l := range sorted {
		if l.id != "" {
			id := l.key.Store + " " + l.id
			if at, ok := kept[id]; ok && l.at.Sub(at) <= Window {
				duplicates++
				continue
			}
			kept[id] = l.at
		}
		if sum[l.key] == nil {
			sum[l.key] = &traffic.Row{Key: l.key}
		}
		sum[l.key].Add(&traffic.Row{Requests: l.count, Bytes: l.bytes, Lines: 1, Squares: l.bytes * l.bytes})
		if l.digest != "" {
			key := traffic.Object{Digest: l.digest, Month: monthOf(l.key.Day), Client: l.key.Client}
			o := objects[key]
			o.Requests += l.count
			o.Bytes += l.bytes
			objects[key] = o
		}
	}
	for _, r := range sum {
		rows = append(rows, *r)
	}
	slices.SortFunc(rows, func(a, b traffic.Row) int { return Compare(&a, &b) })
	return rows, objects, duplicates
}

// same compares rows. Squares are sums of large numbers in different orders.
func same(t *testing.T, want, got []traffic.Row) {
	t.Helper()
	about := gocmp.FilterPath(func(p gocmp.Path) bool { return p.Last().String() == ".Squares" },
		gocmp.Comparer(func(a, b float64) bool { return max(a, b)-min(a, b) <= 1e-9*max(a, b) }))
	if diff := gocmp.Diff(want, got, about); diff != "" {
		t.Fatalf("rows differ (-want +got):\n%s", diff)
	}
}

func rowsIn(t *testing.T, c *Collector) (rows []traffic.Row) {
	t.Helper()
	for r, err := range c.Rows(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, *r)
	}
	return rows
}

// TestCollector gives random lines in any order to any number of parts, with memory for all of them or for a few, and
// wants what the model says.
func TestCollector(t *testing.T) {
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 17))
		lines := randomLines(r, 3000, []int{1, 50, 2000}[seed%3])
		want, objects, duplicates := model(lines)
		parts := 1 + r.IntN(4)
		memory := []int64{0, 1 << 20, 200 << 10}[seed%3]
		c := NewCollector(CollectorOptions{Dir: t.TempDir(), Memory: memory, Parts: parts, Top: 1000})
		r.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		for _, l := range lines {
			err := c.Part(r.IntN(parts)).Add(&Request{Key: &l.key, Count: l.count, Bytes: l.bytes, ID: l.id, At: l.at, Digest: l.digest})
			if err != nil {
				t.Fatal(err)
			}
		}
		counts, err := c.Finish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if counts.Duplicates != duplicates || counts.Counted != int64(len(lines))-duplicates {
			t.Errorf("seed %d: %d duplicates of %d lines, want %d", seed, counts.Duplicates, counts.Counted, duplicates)
		}
		if (memory == 0) != (c.Spilled() == 0) {
			t.Errorf("seed %d: %d bytes of memory, %d spilled", seed, memory, c.Spilled())
		}
		same(t, want, rowsIn(t, c))
		got := map[traffic.Object]traffic.Object{}
		for o, err := range c.Objects(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got[traffic.Object{Digest: o.Digest, Month: o.Month, Client: o.Client}] = traffic.Object{Requests: o.Requests, Bytes: o.Bytes}
		}
		if diff := gocmp.Diff(objects, got); diff != "" {
			t.Fatalf("seed %d: objects differ (-want +got):\n%s", seed, diff)
		}
		c.Close()
	}
}

// TestTop wants the first digests of each month, and the others as one object of each place.
func TestTop(t *testing.T) {
	c := NewCollector(CollectorOptions{Dir: t.TempDir(), Top: 3})
	defer c.Close()
	for month, day := range []traffic.Day{traffic.DayOf(begin), traffic.DayOf(begin) + 5} {
		for i := range 10 {
			for _, region := range []string{"a", "b"} {
				key := traffic.Key{Day: day, Client: place.Place{Cloud: "aws", Region: region}}
				// The largest ones of the second month are others.
				err := c.Part(0).Add(&Request{Key: &key, Count: 1, Bytes: float64((i*7+month)%10 + 1), Digest: fmt.Sprintf("sha256:%d", i)})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if _, err := c.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for o, err := range c.Objects(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got[fmt.Sprintf("%s %s %s", o.Month, o.Client.Region, o.Digest)] = o.Bytes
	}
	want := map[string]float64{}
	for _, region := range []string{"a", "b"} {
		for digest, b := range map[string]float64{"sha256:7": 10, "sha256:4": 9, "sha256:1": 8, "": 28} {
			want["2026-11-01 "+region+" "+digest] = b
		}
		for digest, b := range map[string]float64{"sha256:4": 10, "sha256:1": 9, "sha256:8": 8, "": 28} {
			want["2026-12-01 "+region+" "+digest] = b
		}
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("objects (-want +got):\n%s\n%v", diff, slices.SortedFunc(maps.Keys(got), cmp.Compare))
	}
}

func BenchmarkCollector(b *testing.B) {
	lines := randomLines(rand.New(rand.NewPCG(1, 1)), 200_000, 5)
	c := NewCollector(CollectorOptions{Dir: b.TempDir()})
	defer c.Close()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		l := &lines[i%len(lines)]
		if err := c.Part(0).Add(&Request{Key: &l.key, Count: l.count, Bytes: l.bytes, ID: l.id, At: l.at, Digest: l.digest}); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := c.Finish(b.Context()); err != nil {
		b.Fatal(err)
	}
}
