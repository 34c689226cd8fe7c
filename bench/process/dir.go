package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// dirPrefix begins the names of temporary directories. The benchmark's name follows.
const dirPrefix = "ociproxy-bench-"

// ownedDir is a temporary directory that its owner keeps locked. The lock ends with the process, so a directory that
// can be locked has no owner any more.
type ownedDir struct {
	name string
	lock *os.File

	once sync.Once
	err  error
}

// newDir makes a directory below the system's temporary directory.
func newDir(name string) (*ownedDir, error) {
	for range 100 {
		dir, err := os.MkdirTemp("", dirPrefix+name+"-")
		if err != nil {
			return nil, err
		}
		f, err := os.Open(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue // another run swept it before we opened it
		} else if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		if _, err := os.Stat(dir); err == nil {
			return &ownedDir{name: dir, lock: f}, nil
		}
		f.Close() // another run swept it while we waited for the lock
	}
	return nil, errors.New("no temporary directory: each was removed at once")
}

// remove removes the directory and all that is in it. Safe for concurrent use. When any call returns, the directory is
// gone.
func (d *ownedDir) remove() error {
	d.once.Do(func() {
		d.err = os.RemoveAll(d.name)
		d.lock.Close()
	})
	return d.err
}

// sweep removes the directories of benchmarks that were killed. It leaves what it cannot remove to the next run.
func sweep() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
	for _, dir := range dirs {
		f, err := os.Open(dir)
		if err != nil {
			continue
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(dir)
		}
		f.Close()
	}
}
