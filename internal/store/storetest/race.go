package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"ociproxy/internal/store"
)

const writers = 8

// race lets all writers put at once and returns the one that won.
func race(t *testing.T, b bucket, round int, version string, lost error) (winner int, a store.Attrs) {
	t.Helper()
	type result struct {
		a   store.Attrs
		err error
	}
	results := make([]result, writers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			<-start
			a, err := b.Put(t.Context(), b.dir+"k", Whole(raced(round, i)), header, version)
			results[i] = result{a, err}
		})
	}
	close(start)
	wg.Wait()
	winner = -1
	for i, r := range results {
		switch {
		case r.err == nil && winner < 0:
			winner, a = i, r.a
		case r.err == nil:
			t.Errorf("round %d: both writer %d and writer %d were told that they wrote", round, winner, i)
		case !errors.Is(r.err, lost):
			t.Errorf("round %d: writer %d: %v, want %v", round, i, r.err, lost)
		}
	}
	if winner < 0 {
		t.Fatalf("round %d: nobody wrote", round)
	}
	return winner, a
}

func raced(round, writer int) []byte { return fmt.Appendf(nil, "round %d writer %d", round, writer) }

func raceToCreate(t *testing.T, b bucket) {
	for round := range 5 {
		winner, a := race(t, b, round, "", store.ErrExists)
		b.want(t, "k", raced(round, winner))
		if err := b.Delete(t.Context(), b.dir+"k", a.Version); err != nil {
			t.Fatal(err)
		}
	}
}

func raceToSwap(t *testing.T, b bucket) {
	version := b.put(t, "k", Whole([]byte("start")), "").Version
	for round := range 8 {
		winner, a := race(t, b, round, version, store.ErrConflict)
		got := b.want(t, "k", raced(round, winner))
		if got.Version != a.Version {
			t.Errorf("round %d: the object has version %q, its writer was told %q", round, got.Version, a.Version)
		}
		version = a.Version
	}
}
