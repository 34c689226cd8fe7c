package atomicfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree returns the contents of a directory: for each name, the mode and content.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		info, err := os.Lstat(name)
		if err != nil {
			t.Fatal(err)
		}
		if !info.Mode().IsRegular() {
			got[e.Name()] = info.Mode().Type().String()
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got[e.Name()] = info.Mode().Perm().String() + " " + string(data)
	}
	return got
}

// put makes a file that exists before the test.
func put(t *testing.T, name, data string) {
	t.Helper()
	if err := errors.Join(os.WriteFile(name, []byte(data), 0o640), os.Chmod(name, 0o640)); err != nil {
		t.Fatal(err)
	}
}

func TestWrite(t *testing.T) {
	const old = "-rw-r----- old"
	tests := []struct {
		name string
		old  bool
		perm fs.FileMode
		want string
	}{
		{"new", false, 0o644, "-rw-r--r-- new"},
		{"replaced, with another mode", true, 0o600, "-rw------- new"},
		{"more than the umask lets through", true, 0o666, "-rw-rw-rw- new"},
		{"not even for the owner to write", true, 0o444, "-r--r--r-- new"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			name := filepath.Join(dir, "file")
			if tt.old {
				put(t, name, "old")
				if d := cmp.Diff(map[string]string{"file": old}, tree(t, dir)); d != "" {
					t.Fatalf("before (-want +got):\n%s", d)
				}
			}
			if err := Write(name, []byte("new"), tt.perm); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(map[string]string{"file": tt.want}, tree(t, dir)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// Until the commit, streamed content lies in another file that only its owner can read.
func TestStream(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	put(t, name, "old")
	f, err := Create(name, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"one ", "two ", "three"} {
		if n, err := f.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatalf("wrote %d of %d bytes: %v", n, len(s), err)
		}
	}
	aside := filepath.Base(f.Temp())
	if !strings.HasPrefix(aside, ".file.") {
		t.Errorf("it lies as %s", aside)
	}
	if d := cmp.Diff(map[string]string{"file": "-rw-r----- old", aside: "-rw------- one two three"}, tree(t, dir)); d != "" {
		t.Errorf("before (-want +got):\n%s", d)
	}
	if err := errors.Join(f.Seal(), f.Seal(), f.Commit(), f.Abort()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"file": "-rw-r--r-- one two three"}, tree(t, dir)); d != "" {
		t.Errorf("after (-want +got):\n%s", d)
	}
	if _, err := f.Write([]byte("x")); !errors.Is(err, errEnded) {
		t.Errorf("write after commit: got error %v", err)
	}
	for _, again := range []func() error{f.Seal, f.Commit, f.CommitNew} {
		if err := again(); !errors.Is(err, errEnded) {
			t.Errorf("commit after commit: got error %v", err)
		}
	}
	if d := cmp.Diff(map[string]string{"file": "-rw-r--r-- one two three"}, tree(t, dir)); d != "" {
		t.Errorf("at last (-want +got):\n%s", d)
	}
}

func TestAbort(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		dir := t.TempDir()
		put(t, filepath.Join(dir, "file"), "old")
		f, err := Create(filepath.Join(dir, "file"), 0o644)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("new")); err != nil {
			t.Fatal(err)
		}
		if sealed {
			if err := f.Seal(); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(f.Abort(), f.Abort()); err != nil {
			t.Fatal(err)
		}
		if err := f.Commit(); !errors.Is(err, errEnded) {
			t.Errorf("commit after abort: got error %v", err)
		}
		if d := cmp.Diff(map[string]string{"file": "-rw-r----- old"}, tree(t, dir)); d != "" {
			t.Errorf("sealed %v (-want +got):\n%s", sealed, d)
		}
	}
}

// Write replaces a link, because the link's target may belong to another program. Callers that want to write the
// target resolve the link first.
func TestSymlink(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "target"), "old")
	if err := os.Symlink("target", filepath.Join(dir, "file")); err != nil {
		t.Fatal(err)
	}
	if err := Write(filepath.Join(dir, "file"), []byte("new"), 0o644); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"target": "-rw-r----- old", "file": "-rw-r--r-- new"}, tree(t, dir)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestNoDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := Write(filepath.Join(dir, "none", "file"), nil, 0o644); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got error %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "file"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Write(filepath.Join(dir, "file"), nil, 0o644); err == nil {
		t.Error("a file took the place of a directory")
	}
	if d := cmp.Diff(map[string]string{"file": "d---------"}, tree(t, dir)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// If many goroutines create the same file at once, only one succeeds.
func TestCommitNew(t *testing.T) {
	dir, aside := t.TempDir(), t.TempDir()
	name := filepath.Join(dir, "file")
	const writers = 16
	var made, refused []string
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			text := string(rune('a' + i))
			f, err := CreateAt(filepath.Join(aside, "x*"), name, 0o644)
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = f.Write([]byte(text))
			err = f.CommitNew()
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				made = append(made, text)
			case errors.Is(err, fs.ErrExist):
				refused = append(refused, text)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(made) != 1 || len(refused) != writers-1 {
		t.Fatalf("%d made it, %d were refused", len(made), len(refused))
	}
	if d := cmp.Diff(map[string]string{"file": "-rw-r--r-- " + made[0]}, tree(t, dir)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[string]string{}, tree(t, aside)); d != "" {
		t.Errorf("aside (-want +got):\n%s", d)
	}
}

// A reader always sees one complete file, even while others write.
func TestReaders(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	text := func(i int) []byte { return bytes.Repeat([]byte{byte('a' + i%26)}, 10_000+i) }
	if err := Write(name, text(0), 0o644); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			for i := range 50 {
				if err := Write(name, text(2*i+w), 0o644); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { defer close(done); wg.Wait() }()
	for {
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(got) - 10_000; n < 0 || !bytes.Equal(got, text(n)) {
			t.Fatalf("read %d bytes, not those that were written", len(got))
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

func TestSyncDir(t *testing.T) {
	dir := t.TempDir()
	if err := SyncDir(dir); err != nil {
		t.Error(err)
	}
	if err := SyncDir(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: got error %v", err)
	}
	for err, want := range map[error]bool{
		&fs.PathError{Op: "open", Path: dir, Err: syscall.EACCES}:  true,
		&fs.PathError{Op: "sync", Path: dir, Err: syscall.EINVAL}:  true,
		&fs.PathError{Op: "sync", Path: dir, Err: syscall.ENOTSUP}: true,
		&fs.PathError{Op: "sync", Path: dir, Err: syscall.EIO}:     false,
		&fs.PathError{Op: "sync", Path: dir, Err: syscall.ENOSPC}:  false,
	} {
		if got := harmless(err); got != want {
			t.Errorf("%v: harmless %v, want %v", err, got, want)
		}
	}
}
