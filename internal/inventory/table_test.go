package inventory

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ociproxy/internal/oci"
	"ociproxy/internal/set"
	"ociproxy/internal/thorough"
)

// model is the oracle: what each store holds.
type model []map[oci.Digest]int64

// list returns what a table says.
func list(t *Table) map[oci.Digest]Entry {
	out := map[oci.Digest]Entry{}
	for d, e := range t.All() {
		out[d] = e
	}
	return out
}

func (m model) list() map[oci.Digest]Entry {
	out := map[oci.Digest]Entry{}
	for i, held := range m {
		for d, size := range held {
			e := out[d]
			e.Stores.Add(i)
			e.Size, e.Kind = size, Blob
			out[d] = e
		}
	}
	return out
}

// TestTableAgainstMap changes stores at random: further segments, tombstones, compaction, segments that several stores
// share, stores that come, go and change places. It compares the table with a plain map each time.
func TestTableAgainstMap(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "file": t.TempDir()} {
		for seed := range thorough.Rounds[uint64](3, 20) {
			t.Run(fmt.Sprint(name, seed), func(t *testing.T) { compareWithMap(t, dir, rand.New(rand.NewPCG(seed, 7))) })
		}
	}
}

func compareWithMap(t *testing.T, dir string, rng *rand.Rand) {
	const digests, rounds = 600, 25
	stores := 1 + rng.IntN(40)
	held := make(model, stores)
	segments := make([][]SegmentRef, stores)
	for i := range held {
		held[i] = map[oci.Digest]int64{}
	}
	all := shelf{}
	table := &Table{}
	for round := range rounds {
		in := buildInput{old: table, keep: keepNone(), open: all.open, dir: dir}
		for i := range held {
			in.keep[i] = int16(i)
		}
		// The same batch goes to several stores, as from a mirror.
		for range 1 + rng.IntN(3) {
			batch := randomBatch(rng, digests)
			refs := all.add(t, batch...)
			for i := range held {
				if rng.IntN(3) == 0 {
					continue
				}
				held.apply(i, batch)
				segments[i] = append(segments[i], refs...)
				in.changes = addChange(in.changes, i, refs)
			}
		}
		for i := range held {
			switch rng.IntN(12) {
			case 0: // compacted: everything is replaced
				segments[i] = all.add(t, held.records(i)...)
				in.changes = replaceChange(in.changes, i, segments[i])
				in.keep[i] = -1
			case 1: // gone
				held[i], segments[i] = map[oci.Digest]int64{}, nil
				in.changes = replaceChange(in.changes, i, nil)
				in.keep[i] = -1
			}
		}
		if rng.IntN(4) == 0 && stores > 1 { // two stores change places
			a, b := rng.IntN(stores), rng.IntN(stores)
			if a != b && in.keep[a] >= 0 && in.keep[b] >= 0 {
				held[a], held[b] = held[b], held[a]
				segments[a], segments[b] = segments[b], segments[a]
				in.keep[a], in.keep[b] = int16(b), int16(a)
				for i, c := range in.changes {
					switch c.Index {
					case a:
						in.changes[i].Index = b
					case b:
						in.changes[i].Index = a
					}
				}
			}
		}
		next, err := build(in)
		if err != nil {
			t.Fatal(err)
		}
		table = next
		check(t, round, held, table)
	}
	// A build from nothing must give the same table.
	in := buildInput{keep: keepNone(), open: all.open, dir: dir}
	for i, s := range segments {
		in.changes = append(in.changes, Change{i, dedup(s)})
	}
	again, err := build(in)
	if err != nil {
		t.Fatal(err)
	}
	check(t, rounds, held, again)
}

func check(t *testing.T, round int, held model, table *Table) {
	t.Helper()
	want := held.list()
	if got := list(table); !maps.Equal(want, got) {
		t.Fatalf("round %d (-want +got)\n%s", round, cmp.Diff(want, got, cmpopts.EquateComparable(oci.Digest{})))
	}
	for i := range 700 {
		d := digestOf(i)
		e, ok := table.Lookup(d)
		if w, has := want[d]; ok != has || e != w {
			t.Fatalf("round %d: lookup %s = %v, %v, want %v, %v", round, d, e, ok, w, has)
		}
	}
	for i := range held {
		if got := table.Held(i); got != len(held[i]) {
			t.Fatalf("round %d: store %d holds %d, want %d", round, i, got, len(held[i]))
		}
	}
	if table.Len() != len(want) {
		t.Fatalf("round %d: %d digests, want %d", round, table.Len(), len(want))
	}
}

type holding map[oci.Digest]int64

func (m model) records(i int) (out []Record) {
	for d, size := range m[i] {
		out = append(out, Record{d, size, Blob})
	}
	return out
}

func randomBatch(rng *rand.Rand, digests int) (batch []Record) {
	for range 1 + rng.IntN(80) {
		n := rng.IntN(digests)
		r := Record{Digest: digestOf(n), Size: int64(n) * 1e9, Kind: Blob}
		if rng.IntN(4) == 0 {
			r.Size, r.Kind = 0, Tombstone
		}
		batch = append(batch, r)
	}
	return batch
}

func (m model) apply(i int, batch []Record) { holding(m[i]).apply(batch) }

func (h holding) apply(batch []Record) {
	for _, r := range batch {
		if r.Kind == Tombstone {
			delete(h, r.Digest)
		} else {
			h[r.Digest] = r.Size
		}
	}
}

func addChange(changes []Change, index int, refs []SegmentRef) []Change {
	for i := range changes {
		if changes[i].Index == index {
			changes[i].Segments = dedup(append(changes[i].Segments, refs...))
			return changes
		}
	}
	return append(changes, Change{index, dedup(refs)})
}

func replaceChange(changes []Change, index int, refs []SegmentRef) []Change {
	var out []Change
	for _, c := range changes {
		if c.Index != index {
			out = append(out, c)
		}
	}
	return append(out, Change{index, dedup(refs)})
}

// dedup keeps the last of each segment, because a head lists a segment once.
func dedup(refs []SegmentRef) (out []SegmentRef) {
	for i, r := range refs {
		last := true
		for _, later := range refs[i+1:] {
			last = last && later != r
		}
		if last {
			out = append(out, r)
		}
	}
	return out
}

// There are more sets than ids.
func TestManySets(t *testing.T) {
	const n = noID + 3000
	all := shelf{}
	batches := make([][]Record, 75) // so many stores have enough sets of three
	want := map[oci.Digest]set.Set{}
	add := func(stores ...int) {
		i := len(want) + 1
		if i > n {
			return
		}
		d := sha256Of(i * 31)
		var set set.Set
		for _, s := range stores {
			batches[s] = append(batches[s], Record{d, int64(i), Blob})
			set.Add(s)
		}
		want[d] = set
	}
	for a := range batches {
		add(a)
		for b := range a {
			add(a, b)
			for c := range b {
				add(a, b, c)
			}
		}
	}
	in := buildInput{keep: keepNone(), open: all.open}
	for i, b := range batches {
		in.changes = append(in.changes, Change{i, all.add(t, b...)})
	}
	table, err := build(in)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := len(table.parts[sha256Digests].sets.beyond); got != n-noID {
			t.Fatalf("%d sets beyond the short names, want %d", got, n-noID)
		}
		for d, set := range want {
			if e, ok := table.Lookup(d); !ok || e.Stores != set {
				t.Fatalf("lookup %s = %v, %v, want %v", d, e.Stores, ok, set)
			}
		}
		held := 0
		for i := range batches {
			held += table.Held(i)
			if table.Held(i) != len(batches[i]) {
				t.Errorf("store %d holds %d, want %d", i, table.Held(i), len(batches[i]))
			}
		}
		// Build the table once more, from itself.
		in = buildInput{old: table, keep: keepNone(), open: all.open}
		for i := range batches {
			in.keep[i] = int16(i)
		}
		if table, err = build(in); err != nil {
			t.Fatal(err)
		}
	}
}

// There are more segments than are opened at once.
func TestManySegments(t *testing.T) {
	all := shelf{}
	in := buildInput{keep: keepNone(), open: all.open, dir: t.TempDir()}
	held := make(model, 40)
	for i := range held {
		held[i] = map[oci.Digest]int64{}
		var refs []SegmentRef
		for j := range 20 {
			batch := []Record{{sha256Of(j), 1, Blob}, {sha256Of(1000 + i*20 + j), 2, Blob}}
			held.apply(i, batch)
			refs = append(refs, all.add(t, batch...)...)
		}
		in.changes = append(in.changes, Change{i, refs})
	}
	table, err := build(in)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(held.list(), list(table), cmpopts.EquateComparable(oci.Digest{})); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestBuildErrors(t *testing.T) {
	all := shelf{}
	ref := all.add(t, Record{sha256Of(1), 1, Blob}, Record{sha256Of(2), 1, Blob})[0]
	whole := all[ref.SHA256]
	for name, body := range map[string][]byte{
		"missing": nil, "truncated": whole[:len(whole)-1], "half": whole[:30], "other magic": append([]byte("x"), whole[1:]...),
		"longer": append(whole[:len(whole):len(whole)], 0),
	} {
		t.Run(name, func(t *testing.T) {
			s := shelf{ref.SHA256: body}
			if body == nil {
				delete(s, ref.SHA256)
			}
			_, err := build(buildInput{keep: keepNone(), open: s.open, changes: []Change{{0, []SegmentRef{ref}}}})
			if got, ok := BadSegment(err); !ok || got != ref {
				t.Errorf("error %v, about %v", err, got)
			}
			if body == nil != errors.Is(err, os.ErrNotExist) || body != nil && !errors.Is(err, ErrSegment) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestEmptyTable(t *testing.T) {
	for name, table := range map[string]*Table{"nil": nil, "zero": {}} {
		if _, ok := table.Lookup(sha256Of(1)); ok || table.Len() != 0 || table.Held(3) != 0 || table.Bytes() != 0 {
			t.Errorf("%s: an empty table has something", name)
		}
		if _, _, ok := table.Sample(7, func(Entry) bool { return true }); ok {
			t.Errorf("%s: a sample of nothing", name)
		}
	}
}

func TestLookupOthers(t *testing.T) {
	table := tableOf(t, "", 100)
	for _, text := range []string{"blake3:" + sha256Of(1).Hex(), "sha384:00", "sha512:" + sha256Of(1).Hex() + sha256Of(1).Hex()} {
		d, err := oci.ParseDigest(text)
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := table.Lookup(d); ok {
			t.Errorf("%s: %v", text, e)
		}
	}
	if _, ok := table.Lookup(oci.Digest{}); ok {
		t.Error("the zero digest is held")
	}
}

func TestSample(t *testing.T) {
	all := shelf{}
	in := buildInput{keep: keepNone(), open: all.open}
	for i := range 3 {
		var batch []Record
		for j := range 50 {
			batch = append(batch, Record{digestOf(i*1000 + j), int64(j), Blob})
		}
		in.changes = append(in.changes, Change{i, all.add(t, batch...)})
	}
	table, err := build(in)
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(500) {
		d, e, ok := table.Sample(seed, func(e Entry) bool { return e.Stores.Has(1) && e.Size < 10 })
		if got, _ := table.Lookup(d); !ok || got != e || !e.Stores.Has(1) || e.Size >= 10 {
			t.Fatalf("sample %v, %v, %v", d, e, ok)
		}
	}
	if _, _, ok := table.Sample(1, func(e Entry) bool { return e.Size > 50 }); ok {
		t.Error("a sample that was not accepted")
	}
}

func tableOf(t testing.TB, dir string, n int) *Table {
	all := shelf{}
	var batch []Record
	for i := range n {
		batch = append(batch, Record{sha256Of(i), int64(i), Blob})
	}
	table, err := build(buildInput{keep: keepNone(), open: all.open, dir: dir, changes: []Change{{0, all.add(t, batch...)}}})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestLookupAllocatesNothing(t *testing.T) {
	table := tableOf(t, t.TempDir(), 1000)
	d := sha256Of(77)
	if n := testing.AllocsPerRun(100, func() {
		if _, ok := table.Lookup(d); !ok {
			t.Error("not found")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Look-ups continue while tables are swapped and their memory is freed.
func TestSwapUnderLoad(t *testing.T) {
	dir := t.TempDir()
	live := newLive(&View{Table: tableOf(t, dir, 500)})
	var held [500]oci.Digest
	for i := range held {
		held[i] = sha256Of(i)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := w; ; i = (i + 1) % len(held) {
				select {
				case <-stop:
					return
				default:
				}
				if e, ok := live.View().Table.Lookup(held[i]); !ok || e.Size != int64(i) {
					t.Errorf("lookup %d = %v, %v", i, e, ok)
					return
				}
			}
		})
	}
	for i := range thorough.Rounds(10, 200) {
		if i%2 == 0 {
			dir, live := dir, live
			live.publish(&View{Table: tableOf(t, dir, 500+i)})
		} else {
			live.publish(&View{Table: tableOf(t, "", 500+i)})
		}
		runtime.GC()
	}
	close(stop)
	wg.Wait()
}
