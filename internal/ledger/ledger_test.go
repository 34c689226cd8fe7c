package ledger

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inventorytest"
	"ociproxy/internal/inventory/write"
	"ociproxy/internal/oci"
	"ociproxy/internal/set"
	"ociproxy/internal/store"
)

func TestBucketOf(t *testing.T) {
	inventorytest.Conform(t, func(t *testing.T) write.Bucket { return BucketOf(open(t)) })
}

func TestAdd(t *testing.T) {
	a, b := open(t), open(t)
	l := books(t, Options{}, a, b)
	add(t, l, 0, blob(1), blob(2), image(2), image(5))
	add(t, l, 1, blob(2))
	if got, want := l.Lacking(digest(1)), (set.Set{2}); got != want {
		t.Errorf("blob 1 lacks in %v", got)
	}
	if got, want := l.Lacking(digest(7)), (set.Set{3}); got != want {
		t.Errorf("blob 7 lacks in %v", got)
	}
	if n := count(append(a.take(), b.take()...), "put"); n != 0 {
		t.Errorf("%d writes before anything is due", n)
	}
	good(t, l.Flush(t.Context()))
	want := newHolding()
	want.add(blob(1), blob(2), image(2), image(5))
	same(t, "here", want, ask(l, 0))
	again := books(t, Options{}, a, b)
	same(t, "after a restart", want, ask(again, 0))
	a.take()
	add(t, again, 0, blob(1), image(5)) // noted already
	good(t, again.Flush(t.Context()))
	if lines := a.take(); len(lines) != 0 {
		t.Errorf("requests for what is noted already: %q", lines)
	}
	for name, r := range map[string]inventory.Record{
		"tombstone": {Digest: digest(1), Kind: inventory.Tombstone}, "none": {}, "size": {Digest: digest(1), Size: -1, Kind: inventory.Blob},
	} {
		if err := again.Add(t.Context(), 0, r); err == nil {
			t.Errorf("%s was added", name)
		}
	}
}

// A pass without changes costs a store one request at its start and one at its end, and a day's first three more.
func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := open(t), open(t)
		dir := t.TempDir()
		first := books(t, Options{Dir: dir}, a, b)
		for i := range 2 {
			add(t, first, i, blob(1), blob(2), image(3))
		}
		good(t, first.Finish(t.Context()))
		a.take()
		_ = books(t, Options{Dir: dir}, a, b) // fills the cache
		a.take()

		pass := func() []string {
			l := books(t, Options{Dir: dir}, a, b)
			good(t, l.Finish(t.Context()))
			b.take()
			return a.take()
		}
		want := []string{"get inventory/head.json", "put inventory/head.json"}
		if d := cmp.Diff(want, pass()); d != "" {
			t.Errorf("a pass without changes (-want +got)\n%s", d)
		}
		<-time.After(25 * time.Hour) // by the clock of synctest
		want = append(want, "list inventory/seg/", "list inventory/retired/", "get inventory/head.json")
		if d := cmp.Diff(want, pass()); d != "" {
			t.Errorf("the first pass of a day (-want +got)\n%s", d)
		}
		if d := cmp.Diff(want[:2], pass()); d != "" {
			t.Errorf("the pass after that (-want +got)\n%s", d)
		}

		l := books(t, Options{Dir: dir}, a, b)
		a.take()
		add(t, l, 0, blob(4))
		good(t, l.Flush(t.Context()))
		add(t, l, 0, blob(5))
		good(t, l.Finish(t.Context()))
		if lines := a.take(); count(lines, "get") != 0 || count(lines, "put") != 4 {
			t.Errorf("two changes: %q", lines)
		}
	})
}

// Notes are written by count and by time, without anybody asking.
func TestFlushesItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := open(t)
		l := books(t, Options{FlushRecords: 10, FlushEvery: time.Minute}, a)
		add(t, l, 0, blob(1))
		synctest.Wait()
		if n := count(a.take(), "put"); n != 0 {
			t.Errorf("%d writes at once", n)
		}
		<-time.After(61 * time.Second)
		synctest.Wait()
		if n := count(a.take(), "put"); n != 2 {
			t.Errorf("%d writes after a minute, want a segment and a head", n)
		}
		for i := range 10 {
			add(t, l, 0, blob(10+i))
		}
		synctest.Wait()
		if n := count(a.take(), "put"); n != 2+1 { // sha256 and sha512
			t.Errorf("%d writes after ten notes", n)
		}
	})
}

// A pass of days leaves no inventory to grow old that was there at its start.
func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, fresh := open(t), open(t)
		first := books(t, Options{}, a, fresh)
		add(t, first, 0, blob(1))
		good(t, first.Finish(t.Context()))
		l := books(t, Options{}, a, fresh)
		go l.Keep(t.Context())
		a.take()
		<-time.After(24*time.Hour + time.Minute)
		synctest.Wait()
		lines := a.take()
		if n := count(lines, "put inventory/head.json"); n != len(lines) || n != 96 {
			t.Errorf("within a day: %d rewrites, %d requests", n, len(lines))
		}
		good(t, l.Finish(t.Context()))
		if n := count(fresh.take(), "put"); n != 0 {
			t.Errorf("%d writes to a store that nobody has examined", n)
		}
		again := books(t, Options{}, a)
		if age := time.Since(again.books[0].written); age > keepEvery+time.Minute {
			t.Errorf("the inventory is %v old", age)
		}
	})
}

// One store's troubles are its own, and its notes wait for better times.
func TestStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := open(t), open(t)
		l := books(t, Options{FlushRecords: 4, FlushEvery: time.Minute, Attempts: 2}, a, b)
		a.set(func(o operation) outcome {
			if o.op == "put" {
				return failed
			}
			return fine
		})
		want := newHolding()
		for i := range 4 * maxPending {
			add(t, l, 0, blob(i))
			add(t, l, 1, blob(i))
			want.add(blob(i))
		}
		synctest.Wait() // the write in the background has its turn, and is between its two attempts
		if err := l.Add(t.Context(), 0, blob(299)); !errors.Is(err, errFault) {
			t.Errorf("more notes than may wait: error %v", err)
		}
		if err := l.Add(t.Context(), 0, blob(299)); !errors.Is(err, ErrAside) {
			t.Errorf("failed twice: error %v", err)
		}
		if n := count(a.take(), "put"); n != 2*2 { // two writes of two attempts
			t.Errorf("%d attempts to put", n)
		}
		for range 9 {
			if err := l.Add(t.Context(), 0, blob(299)); !errors.Is(err, errFault) {
				t.Errorf("too many notes, just after a failure: error %v", err)
			}
		}
		synctest.Wait()
		if lines := a.take(); len(lines) != 0 {
			t.Errorf("tries again at once: %q", lines)
		}
		errs := l.Flush(t.Context())
		if !errors.Is(errs[0], errFault) || errs[1] != nil {
			t.Errorf("flush: %v", errs)
		}
		same(t, "the good one", want, ask(books(t, Options{}, a, b), 1))
		same(t, "the other, here", want, ask(l, 0))
		a.set(nil)
		a.take()
		<-time.After(2 * time.Minute)
		synctest.Wait()
		if lines := a.take(); len(lines) != 0 {
			t.Errorf("tries again in the same pass: %q", lines)
		}
		l.Begin()
		<-time.After(2 * time.Minute)
		synctest.Wait()
		same(t, "the other, in the next pass", want, ask(books(t, Options{}, a, b), 0))
	})
}

func TestFaults(t *testing.T) {
	good, bad, foreign, torn, silent := open(t), open(t), open(t), open(t), open(t)
	l := books(t, Options{}, good, bad, foreign, torn, silent)
	for i := range 5 {
		add(t, l, i, blob(1+i), blob(2+i))
	}
	for _, err := range l.Finish(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
	}
	bad.write(t, "inventory/head.json", "<html>")
	foreign.write(t, "inventory/head.json", strings.Replace(foreign.read(t, "inventory/head.json"), "s2", "s0", 1))
	for o, err := range torn.Bucket.List(t.Context(), "inventory/seg/", "") {
		if err != nil {
			t.Fatal(err)
		}
		torn.write(t, o.Key, "segment")
	}
	silent.set(func(operation) outcome { return failed })
	l = books(t, Options{Attempts: 1}, good, bad, foreign, torn, silent)
	for i, want := range []error{nil, inventory.ErrHead, inventory.ErrForeign, inventory.ErrSegment, errFault} {
		err := l.Fault(i)
		if !errors.Is(err, want) || (want != nil) != errors.Is(err, ErrUnusable) {
			t.Errorf("store %d: fault %v, want %v", i, err, want)
		}
		if err := l.Add(t.Context(), i, blob(3)); !errors.Is(err, want) {
			t.Errorf("store %d: add: %v", i, err)
		}
		if err := l.Flush(t.Context())[i]; !errors.Is(err, want) {
			t.Errorf("store %d: flush: %v", i, err)
		}
	}
	if got, want := l.Lacking(digest(7)), (set.Set{1}); got != want {
		t.Errorf("lacks in %v", got)
	}
}

// Whoever learnt about images before another writer removed something does not write them.
func TestRemove(t *testing.T) {
	a := open(t)
	early := books(t, Options{}, a)
	late := books(t, Options{}, a)
	add(t, late, 0, blob(1), blob(2), image(9))
	good(t, late.Flush(t.Context()))
	add(t, early, 0, blob(4), image(8))
	add(t, late, 0, image(7))
	if err := late.Remove(t.Context(), 0, digest(1)); err != nil {
		t.Fatal(err)
	}
	want := newHolding()
	want.add(blob(2))
	same(t, "after removal", want, ask(late, 0))
	good(t, early.Finish(t.Context()))
	good(t, late.Finish(t.Context()))
	want.add(blob(4))
	same(t, "read again", want, ask(books(t, Options{}, a), 0))
	if early.Complete(0, digest(8)) {
		t.Error("an image counts that was learnt before the removal")
	}
	add(t, late, 0, image(9)) // looked at again
	good(t, late.Finish(t.Context()))
	want.add(image(9))
	same(t, "in the end", want, ask(books(t, Options{}, a), 0))
}

// TestAgainstMaps lets two ledgers of three stores add, remove, flush and start again at random, with so few records in memory that
// all of them go through tables, and so many changes that inventories are compacted; then compares with maps.
func TestAgainstMaps(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { againstMaps(t, rand.New(rand.NewPCG(seed, 4))) })
		})
	}
}

func againstMaps(t *testing.T, rng *rand.Rand) {
	const stores = 3
	buckets := []*watched{open(t), open(t), open(t)}
	dir := t.TempDir()
	start := func() *Ledger {
		l := books(t, Options{Dir: dir, FlushRecords: 5}, buckets...)
		l.blobs.foldAt, l.images.foldAt = 7, 5
		return l
	}
	want := []holding{newHolding(), newHolding(), newHolding()}
	l := start()
	for range 60 {
		i := rng.IntN(stores)
		switch rng.IntN(12) {
		case 0:
			var gone []oci.Digest
			for range rng.IntN(4) {
				gone = append(gone, digest(rng.IntN(most)))
			}
			if err := l.Remove(t.Context(), i, gone...); err != nil {
				t.Fatal(err)
			}
			want[i].remove(gone...)
		case 1:
			good(t, l.Flush(t.Context()))
		case 2:
			good(t, l.Finish(t.Context()))
			l = start()
		default:
			var batch []inventory.Record
			for range 1 + rng.IntN(6) {
				batch = append(batch, blob(rng.IntN(most)))
				if rng.IntN(2) == 0 {
					batch = append(batch, image(rng.IntN(most)))
				}
			}
			for i := range stores {
				if rng.IntN(3) > 0 {
					add(t, l, i, batch...)
					want[i].add(batch...)
				}
			}
		}
		for i := range stores {
			same(t, fmt.Sprint("store ", i), want[i], ask(l, i))
		}
	}
	good(t, l.Finish(t.Context()))
	l = start()
	list, err := l.Blobs()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for d, e := range list {
		n++
		for i := range stores {
			if _, ok := want[i].blobs[d]; ok != e.Stores.Has(i) {
				t.Errorf("%s in store %d: %v", d, i, !ok)
			}
		}
	}
	for i := range stores {
		same(t, fmt.Sprint("in the end, store ", i), want[i], ask(l, i))
	}
	if n == 0 {
		t.Error("no blobs")
	}
}

// When an inventory was last added to is told by its newest segment, and by its head where that is not known; one
// that is old enough is not asked for.
func TestTold(t *testing.T) {
	dir := t.TempDir()
	inner, err := store.Open(t.Context(), "file://"+dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, fresh := &watched{Bucket: inner}, open(t)
	first := books(t, Options{}, a, fresh)
	add(t, first, 0, blob(1))
	good(t, first.Flush(t.Context()))
	added := time.Now().Add(-time.Hour).Truncate(time.Second)
	segments, err := filepath.Glob(filepath.Join(dir, "inventory", inventory.SegmentPrefix, "*"))
	if err != nil || len(segments) != 1 {
		t.Fatalf("segments %v, %v", segments, err)
	}
	if err := os.Chtimes(segments[0], added, added); err != nil {
		t.Fatal(err)
	}
	good(t, books(t, Options{}, a, fresh).Finish(t.Context())) // rewrites the head, and adds nothing
	l := books(t, Options{}, a, fresh)
	written := l.books[0].opened
	a.take()
	if at := l.Told(t.Context(), 0, time.Time{}); !at.Equal(added) || len(a.take()) != 1 {
		t.Errorf("told at %v, added at %v", at, added)
	}
	if at := l.Told(t.Context(), 0, written); !at.Equal(written) || len(a.take()) != 0 {
		t.Errorf("of an old head: %v, or it was asked for", at)
	}
	a.set(func(operation) outcome { return failed })
	if at := l.Told(t.Context(), 0, time.Time{}); !at.Equal(written) {
		t.Errorf("of a store that does not answer: %v, not when its head was written", at)
	}
	if at := l.Told(t.Context(), 1, time.Time{}); !at.IsZero() {
		t.Errorf("of no inventory: %v", at)
	}
}
