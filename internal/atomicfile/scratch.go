package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Scratch makes a file without a name. It disappears when it is closed or when the process ends, however that
// happens. On systems where files need a name, Close alone does not remove it: use [CloseScratch]. dir is the
// directory for the file; "" is the system's directory for temporary files.
func Scratch(dir, name string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "."+name+mark+"*") // if the process is killed now, a sweep removes the file
	if err != nil || !nameless {
		return f, err
	}
	if err := os.Remove(f.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// CloseScratch closes and removes a file of [Scratch]. It ignores errors, because callers cannot do anything about
// them.
func CloseScratch(f *os.File) {
	_ = f.Close()
	if !nameless {
		_ = os.Remove(f.Name())
	}
}

// ScratchDir is a directory for the files of one process. [ScratchDir.Remove] removes it. If a process is killed, the
// next process that makes a directory with the same prefix removes what it left.
type ScratchDir struct {
	Path   string
	unlock func() // nil: locks are not supported here
}

// MakeScratchDir makes a directory PREFIX followed by digits in the system's directory for temporary files.
func MakeScratchDir(prefix string) (*ScratchDir, error) {
	return makeScratchDir(os.TempDir(), prefix)
}

func makeScratchDir(parent, prefix string) (*ScratchDir, error) {
	entries, _ := os.ReadDir(parent) // if it is not readable, nothing is swept
	for _, e := range entries {
		if name := e.Name(); e.IsDir() && len(name) > len(prefix) && name[:len(prefix)] == prefix && isNumber(name[len(prefix):]) {
			removeDead(filepath.Join(parent, name))
		}
	}
	for {
		path, err := os.MkdirTemp(parent, prefix)
		if err != nil {
			return nil, err
		}
		if unlock, free := lock(path); free {
			return &ScratchDir{Path: path, unlock: unlock}, nil
		} // another process removed the directory before it was locked
	}
}

// Remove removes the directory with everything in it.
func (d *ScratchDir) Remove() error {
	err := os.RemoveAll(d.Path)
	if d.unlock != nil {
		d.unlock()
		d.unlock = nil
	}
	return err
}
