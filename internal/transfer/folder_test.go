package transfer

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/set"
	"ociproxy/internal/store"
)

func write(t *testing.T, name string, b []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// part returns the file in which a killed process leaves what it had of a blob.
func part(dir string, b Blob) string {
	return filepath.Join(dir, "spool-0", b.Digest.Algorithm()+"-"+b.Digest.Hex()+".part")
}

// TestAfterKill: the engine hashes and continues what a killed process left, whatever it is.
func TestAfterKill(t *testing.T) {
	data, blob := made(t, 1, 5*tiny)
	wrong := bytes.Clone(data)
	wrong[9]++
	tests := map[string]struct {
		left []byte
		read int64 // from the source
	}{
		"most of it":          {data[:4*tiny], tiny},
		"all of it":           {data, 0},
		"nothing":             {nil, 5 * tiny},
		"something wrong":     {wrong[:4*tiny], 6 * tiny}, // the missing bytes, then all of them
		"all of it, wrong":    {wrong, 5 * tiny},
		"zeros":               {make([]byte, 3*tiny), 7 * tiny},
		"more than there is":  {append(bytes.Clone(data), 1), 5 * tiny},
		"one byte is missing": {data[:5*tiny-1], 1},
	}
	for name, tt := range tests {
		bubble(t, name, func(t *testing.T) {
			dir := t.TempDir()
			file := write(t, part(dir, blob), tt.left)
			other := write(t, filepath.Join(dir, "spool-0", "notes.part"), []byte("not ours"))
			o, heaps := newOrigin(), three()
			o.add(data, blob)
			e := engine(t, o, Options{Dir: dir}, heaps...)
			if e.Stats().Disk != int64(len(tt.left)) {
				t.Errorf("taken at first: %d bytes, want %d", e.Stats().Disk, len(tt.left))
			}
			for i, r := range ensure(t, e, blob, all3, set.Set{}) {
				if ob, _ := heaps[i].get("containers/images/" + blob.Digest.String()); r.Err != nil || !bytes.Equal(ob.data, data) {
					t.Errorf("target %d: %v", i, r.Err)
				}
			}
			synctest.Wait()
			if o.total() != tt.read {
				t.Errorf("read %d bytes from the source, want %d", o.total(), tt.read)
			}
			if _, err := os.Stat(file); !os.IsNotExist(err) {
				t.Errorf("the spool's file is still there: %v", err)
			}
			if _, err := os.Stat(other); err != nil {
				t.Errorf("a file of another name: %v", err)
			}
			if e.Stats().Disk != 0 {
				t.Errorf("%d bytes are still taken", e.Stats().Disk)
			}
		})
	}
}

// TestFolders: processes that share a directory do not share files. The process after a killed one continues with its
// files.
func TestFolders(t *testing.T) {
	dir := t.TempDir()
	old := write(t, filepath.Join(dir, "spool-1", "sha256-"+fmt.Sprintf("%064d", 1)+".part"), []byte("old"))
	long := time.Now().Add(-keepFor - time.Hour)
	if err := os.Chtimes(old, long, long); err != nil {
		t.Fatal(err)
	}
	fresh := write(t, filepath.Join(dir, "spool-1", "sha256-"+fmt.Sprintf("%064d", 2)+".part"), []byte("fresh"))
	a, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("what nobody continued for days is still there: %v", err)
	}
	b, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if a.path == b.path || b.path == c.path || a.path == c.path {
		t.Errorf("shared: %s %s %s", a.path, b.path, c.path)
	}
	if b.size() != 5 {
		t.Errorf("the second does not see what was left in its folder: %d", b.size())
	}
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
	if b, err = openFolder(dir); err != nil {
		t.Fatal(err)
	}
	if n, found := b.evict(); n != 5 || !found {
		t.Errorf("evicted %d bytes", n)
	}
	if _, err := os.Stat(fresh); !os.IsNotExist(err) {
		t.Errorf("evicted, and still there: %v", err)
	}
	for _, d := range []*folder{a, b, c} {
		if err := d.close(); err != nil {
			t.Error(err)
		}
	}
}

// TestQueuedOverRefetch: an upload waits for its turn while a spool turns out wrong and starts again. The upload must
// not begin without a spool.
func TestQueuedOverRefetch(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		wrongData, x := made(t, 1, 5*tiny)
		data := bytes.Clone(wrongData)
		wrongData[9]++
		yData, y := made(t, 2, 10)
		dir := t.TempDir()
		write(t, part(dir, x), wrongData)
		o, h := newOrigin(), newHeap("one")
		o.add(data, x)
		o.add(yData, y)
		both, again := make(chan struct{}), make(chan struct{})
		h.fault = func(_ context.Context, op, key string, _ bool) error {
			switch {
			case op == "head" && key == store.BlobKey(x.Digest):
				<-both
			case op == "head":
				<-again // the only worker is busy until then
			}
			return nil
		}
		e := engine(t, o, Options{Dir: dir, UploadsPerTarget: 1, Observe: func(ev Event) {
			if ev.Kind == Refetched {
				close(again)
				<-time.After(time.Second) // the worker looks for other work
			}
		}}, h)
		var results []<-chan Result
		for _, b := range []Blob{x, y} {
			ch, err := e.Ensure(t.Context(), b, set.Of(0), set.Set{})
			if err != nil {
				t.Fatal(err)
			}
			results = append(results, ch)
		}
		close(both)
		for _, ch := range results {
			if r := <-ch; r.Err != nil {
				t.Error(r.Err)
			}
		}
	})
}

// TestLeftoverGivenUp: a blob is given up before its download. What an earlier process left of it still counts, and may
// be evicted.
func TestLeftoverGivenUp(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		data, x := made(t, 1, 5*tiny)
		yData, y := made(t, 2, 4*tiny)
		dir := t.TempDir()
		write(t, part(dir, x), data[:2*tiny])
		o, h := newOrigin(), newHeap("one")
		o.add(data, x)
		o.add(yData, y)
		h.fault = func(ctx context.Context, op, _ string, _ bool) error {
			if op == "put" {
				<-ctx.Done()
			}
			return nil
		}
		e := engine(t, o, Options{Dir: dir, SpoolBytes: 6 * tiny}, h)
		if _, err := e.Ensure(t.Context(), y, set.Of(0), set.Set{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		ch, err := e.Ensure(ctx, x, set.Of(0), set.Set{})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // x waits for space
		cancel()
		<-ch
		synctest.Wait()
		if got := e.Stats().Disk; got != 6*tiny {
			t.Errorf("%d bytes of the spool are taken, want %d", got, 6*tiny)
		}
	})
}
