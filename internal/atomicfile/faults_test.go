package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var errFault = errors.New("fault")

// faulty is a system in which one step fails. It records the steps.
type faulty struct {
	fails string
	after bool // the step does its work and then fails
	steps []string
}

func (f *faulty) step(name string, do func() error) error {
	f.steps = append(f.steps, name)
	if name != f.fails {
		return do()
	}
	if f.after {
		if err := do(); err != nil {
			return err
		}
	}
	return errFault
}

func (f *faulty) system() system {
	return system{
		createTemp: func(dir, pattern string) (file handle, err error) {
			err = f.step("create", func() error {
				made, err := os.CreateTemp(dir, pattern)
				file = &faultyFile{made, f}
				return err
			})
			return file, err
		},
		rename:  func(from, to string) error { return f.step("rename", func() error { return os.Rename(from, to) }) },
		link:    func(from, to string) error { return f.step("link", func() error { return os.Link(from, to) }) },
		remove:  func(name string) error { return f.step("remove", func() error { return os.Remove(name) }) },
		syncDir: func(name string) error { return f.step("sync directory", func() error { return SyncDir(name) }) },
	}
}

type faultyFile struct {
	*os.File
	f *faulty
}

func (h *faultyFile) Write(p []byte) (n int, err error) {
	err = h.f.step("write", func() error {
		n, err = h.File.Write(p[:len(p)/2]) // a full disk takes half
		if h.f.fails != "write" {
			n, err = h.File.Write(p[len(p)/2:])
			n += len(p) / 2
		}
		return err
	})
	return n, err
}

func (h *faultyFile) Chmod(m fs.FileMode) error {
	return h.f.step("chmod", func() error { return h.File.Chmod(m) })
}
func (h *faultyFile) Sync() error  { return h.f.step("sync", h.File.Sync) }
func (h *faultyFile) Close() error { return h.f.step("close", h.File.Close) }

// Whichever step fails, before or after it has done its work: the name leads to a complete file. This is the old
// file, unless only the sync of the directory was left to do. No other file is left, and the error is reported.
func TestFaults(t *testing.T) {
	const was, is = "-rw-r----- old", "-rw-r--r-- new"
	type left = map[string]string
	tests := []struct {
		step     string
		fresh    bool // CommitNew
		failed   left
		finished left // if the step did its work and then failed
		fine     bool // the failure does not matter for the file
	}{
		{step: "create", failed: left{"file": was}},
		{step: "write", failed: left{"file": was}, finished: left{"file": was}},
		{step: "chmod", failed: left{"file": was}, finished: left{"file": was}},
		{step: "sync", failed: left{"file": was}, finished: left{"file": was}},
		{step: "close", failed: left{"file": was}, finished: left{"file": was}},
		{step: "rename", failed: left{"file": was}, finished: left{"file": is}},
		{step: "sync directory", failed: left{"file": is}, finished: left{"file": is}},
		{step: "create", fresh: true, failed: left{}},
		{step: "write", fresh: true, failed: left{}, finished: left{}},
		{step: "chmod", fresh: true, failed: left{}, finished: left{}},
		{step: "sync", fresh: true, failed: left{}, finished: left{}},
		{step: "close", fresh: true, failed: left{}, finished: left{}},
		{step: "link", fresh: true, failed: left{}, finished: left{"file": is}},
		{step: "remove", fresh: true, failed: left{"file": is, "aside": is}, finished: left{"file": is}, fine: true},
		{step: "sync directory", fresh: true, failed: left{"file": is}, finished: left{"file": is}},
	}
	for _, tt := range tests {
		for _, after := range []bool{false, true} {
			want := tt.failed
			if after {
				want = tt.finished
			}
			if want == nil {
				continue // a file that was created but not returned cannot be removed
			}
			name := tt.step
			if tt.fresh {
				name += ", new"
			}
			if after {
				name += ", done"
			}
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				file := filepath.Join(dir, "file")
				if !tt.fresh {
					put(t, file, "old")
				}
				f := &faulty{fails: tt.step, after: after}
				err := f.write(file, tt.fresh)
				if tt.fine && err != nil || !tt.fine && !errors.Is(err, errFault) || errors.Is(err, fs.ErrNotExist) {
					t.Errorf("got error %v", err)
				}
				got := tree(t, dir)
				for name, is := range got { // aside, the name is random
					if name != "file" {
						delete(got, name)
						got["aside"] = is
					}
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("(-want +got):\n%s", d)
				}
				if slices.Contains(f.steps, "create") && tt.step != "create" && !slices.Contains(f.steps, "close") {
					t.Error("the file stays open")
				}
			})
		}
	}
}

func (f *faulty) write(name string, fresh bool) error {
	file, err := create(f.system(), filepath.Join(filepath.Dir(name), ".aside*"), name, 0o644)
	if err != nil {
		return err
	}
	_, _ = file.Write([]byte("new"))
	if fresh {
		return file.CommitNew()
	}
	return file.Commit()
}

// The content must be on the disk before the name, and the name before success is reported.
func TestOrder(t *testing.T) {
	for fresh, want := range map[bool][]string{
		false: {"create", "write", "chmod", "sync", "close", "rename", "sync directory"},
		true:  {"create", "write", "chmod", "sync", "close", "link", "remove", "sync directory"},
	} {
		var f faulty
		if err := f.write(filepath.Join(t.TempDir(), "file"), fresh); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, f.steps); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
	// A file only for its owner has that mode from the beginning.
	var f faulty
	file, err := create(f.system(), filepath.Join(t.TempDir(), "x*"), filepath.Join(t.TempDir(), "file"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Commit(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"create", "sync", "close", "rename", "sync directory"}, f.steps); d != "" {
		t.Errorf("private (-want +got):\n%s", d)
	}
}

// Content that could not be written completely is never committed, even if the caller ignores the error of Write or
// writes more.
func TestWriteErrorStays(t *testing.T) {
	dir := t.TempDir()
	f := &faulty{fails: "write"}
	file, err := create(f.system(), filepath.Join(dir, "x*"), filepath.Join(dir, "file"), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = file.Write([]byte("one"))
	f.fails = "" // there is space again
	if _, err := file.Write([]byte("two")); !errors.Is(err, errFault) {
		t.Errorf("write: got error %v", err)
	}
	if err := file.Commit(); !errors.Is(err, errFault) {
		t.Errorf("commit: got error %v", err)
	}
	if d := cmp.Diff(map[string]string{}, tree(t, dir)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
