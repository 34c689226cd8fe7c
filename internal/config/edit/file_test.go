package edit

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func write(t *testing.T, name, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A link stays a link, as the links of Kubernetes and of those who keep their config in git must.
func TestWriteFollowsLinks(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real", "config.yaml"), filepath.Join(dir, "config.yaml")
	if err := errors.Join(os.Mkdir(filepath.Dir(real), 0o700), os.Symlink("data/config.yaml", link), os.Symlink("real", filepath.Join(dir, "data"))); err != nil {
		t.Fatal(err)
	}
	write(t, real, "old", 0o644)
	f, err := Read(link)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Write([]byte("new")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(link)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 || content(t, real) != "new" {
		t.Errorf("%v, %v, %q", info.Mode(), err, content(t, real))
	}
	if left, err := os.ReadDir(filepath.Dir(real)); err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestWriteKeepsModeAndOwner(t *testing.T) {
	name := filepath.Join(t.TempDir(), "config.yaml")
	write(t, name, "old", 0o640)
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = 12345, 54321
		if err := os.Chown(name, uid, gid); err != nil { // the superuser of some containers may not give files away
			uid, gid = 0, os.Getgid()
		}
	}
	f, err := Read(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Write([]byte("new")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if is := info.Sys().(*syscall.Stat_t); int(is.Uid) != uid || int(is.Gid) != gid {
		t.Errorf("owner %d:%d, want %d:%d", is.Uid, is.Gid, uid, gid)
	}
}

// An edit of somebody else is never lost.
func TestWriteRefusesAChangedFile(t *testing.T) {
	for name, change := range map[string]func(string) error{
		"written": func(name string) error { return os.WriteFile(name, []byte("theirs"), 0o600) },
		"replaced": func(name string) error {
			return errors.Join(os.WriteFile(name+".new", []byte("theirs"), 0o600), os.Rename(name+".new", name))
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "config.yaml")
			write(t, file, "old", 0o600)
			f, err := Read(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := change(file); err != nil {
				t.Fatal(err)
			}
			if err := f.Write([]byte("ours")); !errors.Is(err, ErrChanged) || content(t, file) != "theirs" {
				t.Errorf("%v, %q", err, content(t, file))
			}
		})
	}
	t.Run("link", func(t *testing.T) { // as Kubernetes updates a ConfigMap
		dir := t.TempDir()
		write(t, filepath.Join(dir, "1"), "old", 0o600)
		write(t, filepath.Join(dir, "2"), "theirs", 0o600)
		link := filepath.Join(dir, "config.yaml")
		if err := os.Symlink("1", link); err != nil {
			t.Fatal(err)
		}
		f, err := Read(link)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Symlink("2", link+".new"), os.Rename(link+".new", link)); err != nil {
			t.Fatal(err)
		}
		if err := f.Write([]byte("ours")); !errors.Is(err, ErrChanged) || content(t, link) != "theirs" || content(t, filepath.Join(dir, "1")) != "old" {
			t.Errorf("%v, %q", err, content(t, link))
		}
	})
}

// Of many writers at once that count, none overwrites the number of another.
func TestWritersExcludeEachOther(t *testing.T) {
	name := filepath.Join(t.TempDir(), "config.yaml")
	write(t, name, "0", 0o600)
	var wg sync.WaitGroup
	const each = 20
	for range 4 {
		wg.Go(func() {
			for done := 0; done < each; {
				f, err := Read(name)
				if err != nil {
					t.Error(err)
					return
				}
				n, err := strconv.Atoi(string(f.Text))
				if err != nil {
					t.Error(err)
					return
				}
				switch err := f.Write([]byte(strconv.Itoa(n + 1))); {
				case err == nil:
					done++
				case !errors.Is(err, ErrChanged):
					t.Error(err)
					return
				}
				runtime.Gosched()
			}
		})
	}
	wg.Wait()
	if got := content(t, name); got != strconv.Itoa(4*each) {
		t.Errorf("%s, want %d", got, 4*each)
	}
}

func TestReadRefuses(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dir, pipe, os.DevNull} {
		if _, err := Read(name); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Read(filepath.Join(dir, "gone")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
