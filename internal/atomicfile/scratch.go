package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Scratch makes a file that is gone when it is closed, and with the process, however that ends: it has no name. Where systems need
// one, Close alone does not remove it; use [CloseScratch]. dir is where it lies, "" the system's directory for such files.
func Scratch(dir, name string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "."+name+mark+"*") // killed just now, it is swept as the others are
	if err != nil || !nameless {
		return f, err
	}
	if err := os.Remove(f.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// CloseScratch ends what [Scratch] made. There is no error that anybody could care for.
func CloseScratch(f *os.File) {
	_ = f.Close()
	if !nameless {
		_ = os.Remove(f.Name())
	}
}

// ScratchDir is a directory for files of one process. [ScratchDir.Remove] ends it; what a killed process leaves is removed by the next
// one that makes a directory with the same prefix.
type ScratchDir struct {
	Path   string
	unlock func() // nil: there are no locks here
}

// MakeScratchDir makes a directory PREFIX followed by digits among the system's temporary files.
func MakeScratchDir(prefix string) (*ScratchDir, error) {
	return makeScratchDir(os.TempDir(), prefix)
}

func makeScratchDir(parent, prefix string) (*ScratchDir, error) {
	entries, _ := os.ReadDir(parent) // not readable: nothing is swept
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
		} // another process has swept it before it was locked
	}
}

// Remove removes the directory with all that is in it.
func (d *ScratchDir) Remove() error {
	err := os.RemoveAll(d.Path)
	if d.unlock != nil {
		d.unlock()
		d.unlock = nil
	}
	return err
}
