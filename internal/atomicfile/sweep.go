package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A file on its way, and a [ScratchDir], is locked as long as its process uses it. So one that nobody has locked was left by a
// process that was killed, and whoever starts next may remove it. Where a file system has no locks, it stays.

// SweepTree removes what killed processes have left below dir: files that [Create] began and that nobody will commit. Files of live
// processes stay, and so does everything with another name. For who owns all that is below dir; call it when a process starts. What
// cannot be read or removed is left: it costs room, and the next start tries again.
func SweepTree(dir string) {
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && onItsWay(e.Name(), "") {
			removeDead(path)
		}
		return nil
	})
}

// SweepFor removes what killed processes have left of files that were to become name, as SweepTree does.
func SweepFor(name string) {
	entries, _ := os.ReadDir(filepath.Dir(name)) // none: nothing was left
	for _, e := range entries {
		if e.Type().IsRegular() && onItsWay(e.Name(), filepath.Base(name)) {
			removeDead(filepath.Join(filepath.Dir(name), e.Name()))
		}
	}
}

// mark is in the name of each file on its way, .NAME.ociproxy-DIGITS: other programs make files with a dot in front and a number at
// the end, too, in a directory that an operator shares with them.
const mark = ".ociproxy-"

// onItsWay reports whether a file has a name as Create gives it. NAME "" is any.
func onItsWay(file, name string) bool {
	i := strings.LastIndex(file, mark)
	return i > 1 && file[0] == '.' && isNumber(file[i+len(mark):]) && (name == "" || file[1:i] == name)
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// removeDead removes a file or a directory with all that is in it, unless somebody uses it.
func removeDead(path string) {
	if unlock, free := lock(path); free && unlock != nil {
		_ = os.RemoveAll(path) // the next start tries again
		unlock()
	}
}

// lock locks what lies at path until unlock is called. free is false when somebody else has it, or it is not there any more. A
// nil unlock with free: there are no locks here.
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
		// Who had it before may have removed or renamed it, and another may lie there.
		mine, err := f.Stat()
		if now, lerr := os.Lstat(path); err == nil && lerr == nil && os.SameFile(mine, now) {
			return func() { _ = f.Close() }, true
		}
	}
	_ = f.Close()
	return nil, false
}
