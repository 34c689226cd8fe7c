package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A process locks its uncommitted files and its [ScratchDir] while it uses them. So an unlocked one was left by a
// process that was killed, and the next process that starts may remove it. On a file system without locks, it stays.

// SweepTree removes what killed processes have left below dir: files of [Create] that were never committed. It keeps
// files of live processes and all files with other names. It is for the owner of everything below dir. Call it when a
// process starts. It skips what it cannot read or remove: that costs space, and the next start tries again.
func SweepTree(dir string) {
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && onItsWay(e.Name(), "") {
			removeDead(path)
		}
		return nil
	})
}

// SweepFor removes, like SweepTree, what killed processes have left of uncommitted files for name.
func SweepFor(name string) {
	entries, _ := os.ReadDir(filepath.Dir(name)) // on an error nothing was left, or nothing can be swept
	for _, e := range entries {
		if e.Type().IsRegular() && onItsWay(e.Name(), filepath.Base(name)) {
			removeDead(filepath.Join(filepath.Dir(name), e.Name()))
		}
	}
}

// mark is part of the name of each uncommitted file, .NAME.ociproxy-DIGITS. Without it the names could clash: in a
// shared directory other programs also make files that begin with a dot and end with a number.
const mark = ".ociproxy-"

// onItsWay reports whether a file's name has the form that Create uses. NAME "" matches any name.
func onItsWay(file, name string) bool {
	i := strings.LastIndex(file, mark)
	return i > 1 && file[0] == '.' && isNumber(file[i+len(mark):]) && (name == "" || file[1:i] == name)
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// removeDead removes a file, or a directory with everything in it, unless a process uses it.
func removeDead(path string) {
	if unlock, free := lock(path); free && unlock != nil {
		_ = os.RemoveAll(path) // the next start tries again
		unlock()
	}
}

// lock locks the file at path until unlock is called. free is false when another process has the lock, or when the
// file no longer exists. A nil unlock with free true means that locks are not supported here.
func lock(path string) (unlock func(), free bool) {
	f, err := os.Open(path)
	if err != nil {
		return nil, !errors.Is(err, fs.ErrNotExist)
	}
	got, err := tryLock(f)
	if err != nil {
		_ = f.Close() // only read
		return nil, true
	}
	if got {
		// The process that had the lock before may have removed or renamed the file, and another file may be there.
		mine, err := f.Stat()
		if now, lerr := os.Lstat(path); err == nil && lerr == nil && os.SameFile(mine, now) {
			return func() { _ = f.Close() }, true
		}
	}
	_ = f.Close()
	return nil, false
}
