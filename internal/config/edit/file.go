package edit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/lockedfile"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/config"
)

// ErrChanged is wrapped by the error of [File.Write] when somebody else has changed the file since it was read.
var ErrChanged = errors.New("the file was changed by somebody else in the meantime")

// ErrNames is wrapped by the error of [File.Write] for a file with several names (hard links).
var ErrNames = errors.New("the file has more than one name, and only this one would get the new text")

// File is a config file as it was when it was read.
type File struct {
	Name string // as the caller spelt it
	Text []byte

	real string // without symbolic links
}

// handle is an open file.
type handle interface {
	io.ReadCloser
	Stat() (fs.FileInfo, error)
}

// Read reads a file that [File.Write] will change.
func Read(name string) (*File, error) {
	// The real file is replaced, not a link to it. With the link replaced, other names of the file (a checkout of git
	// behind /etc, the next instance) would keep the old text, and so would the place where people look for it.
	path, err := filepath.EvalSymlinks(name)
	if err != nil {
		return nil, fmt.Errorf("read config %s: %w", name, err)
	}
	info, err := os.Stat(path) // first: to open a pipe could wait forever
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read config: %s is not a regular file", name)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := textOf(f)
	if err != nil {
		return nil, fmt.Errorf("read config %s: %w", name, err)
	}
	return &File{Name: name, Text: text, real: path}, nil
}

// textOf reads one byte more than a config may have, which is enough to refuse it.
func textOf(f handle) ([]byte, error) { return io.ReadAll(io.LimitReader(f, config.MaxBytes+1)) }

// Write replaces the text of the file completely or not at all, and keeps its mode and owner. If the file is not as it
// was read, the error wraps [ErrChanged] and nothing is written. Two processes that use this package exclude each
// other with a lock. Editors do not know that lock: one that saves within the same instant can still lose its text.
func (f *File) Write(text []byte) error {
	locked, err := f.lock()
	if err != nil {
		return fmt.Errorf("write config: %w", err)
	}
	defer func() { _ = locked.Close() }()
	info, err := f.same(locked)
	if err != nil {
		return fmt.Errorf("write config %s: %w", f.Name, err)
	}
	if n := names(info); n > 1 { // the others would keep the old text
		return fmt.Errorf("write config %s: %w: it has %d", f.Name, ErrNames, n)
	}
	atomicfile.SweepFor(f.real)
	next, err := atomicfile.Create(f.real, info.Mode().Perm())
	if err != nil {
		return fmt.Errorf("write config: %w", err)
	}
	defer func() { _ = next.Abort() }() // does nothing after the commit
	_, _ = next.Write(text)             // Seal returns this error
	if err := next.Seal(); err != nil {
		return fmt.Errorf("write config: %w", err)
	}
	if err := keepOwner(next.Temp(), info); err != nil {
		return fmt.Errorf("write config %s: keep its owner: %w", f.Name, err)
	}
	if err := next.Commit(); err != nil {
		return fmt.Errorf("write config: %w", err)
	}
	return nil
}

// same requires that the locked file has the text that was read, and that its name still leads to it: the process that
// had the lock before has put another file in its place.
func (f *File) same(locked handle) (fs.FileInfo, error) {
	info, err := locked.Stat()
	if err != nil {
		return nil, err
	}
	text, err := textOf(locked)
	if err != nil {
		return nil, err
	}
	now, err := os.Stat(f.Name)
	if err != nil || !os.SameFile(now, info) || !bytes.Equal(f.Text, text) {
		return nil, ErrChanged
	}
	return info, nil
}

// lock opens the file with a lock on it, where the file system has locks.
func (f *File) lock() (handle, error) {
	locked, err := lockedfile.OpenFile(f.real, os.O_RDWR, 0)
	if errors.Is(err, errors.ErrUnsupported) {
		return os.OpenFile(f.real, os.O_RDWR, 0)
	}
	return locked, err
}
