package inventory

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// The file that was found damaged is removed, but not a file that replaced it meanwhile.
func TestDiscardReplaced(t *testing.T) {
	all, c := shelf{}, NewSegments(t.TempDir(), 0, nil)
	ref := all.add(t, Record{sha256Of(1), 1, Blob})[0]
	name := c.path(ref.SHA256)
	put := func(body []byte) {
		t.Helper()
		whole := filepath.Join(t.TempDir(), "new")
		err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(whole, body, 0o600), os.Rename(whole, name))
		if err != nil {
			t.Fatal(err)
		}
	}
	put([]byte("damaged"))
	damaged, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer damaged.Close()
	put(all[ref.SHA256])
	c.discard(ref.SHA256, damaged)
	c.discard(ref.SHA256, nil) // a failure to open says nothing about the content
	if !c.has(ref) {
		t.Error("the good one is gone")
	}
	put([]byte("damaged"))
	if c.Check(ref) {
		t.Error("the damaged one is taken for good")
	}
	if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the damaged one: %v", err)
	}
}

// What a store leaves in memory for another waiting store is removed when that one gives up. What is held stays.
func TestMemoryForNobody(t *testing.T) {
	f := NewFollower(Options{})
	f.segments.memory["held"], f.segments.memory["left"] = []byte("a"), []byte("bc")
	held := f.segments.hold(f.takeMemory)
	held.add(SegmentRef{SHA256: "held"})
	if _, err := held.takeTurn(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.segments.hold(f.takeMemory).takeTurn(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("the turn of another: error %v", err)
	}
	if n := f.segments.inMemory(); n != 1 {
		t.Errorf("%d bytes in memory, want those of the one that is held", n)
	}
	held.Release()
	if n := f.segments.inMemory(); n != 0 || len(f.segments.held) != 0 {
		t.Errorf("after the release: %d bytes in memory, %v held", n, f.segments.held)
	}
	again := f.segments.hold(f.takeMemory)
	defer again.Release()
	if _, err := again.takeTurn(t.Context()); err != nil {
		t.Fatal(err)
	}
}
