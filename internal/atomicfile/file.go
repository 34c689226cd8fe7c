package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// File is a file that is being written. It gets its name when Commit or CommitNew returns nil. Before that, it is not
// visible under that name. Only one goroutine may use it. The creator must call Abort at the end, which does nothing
// if the file has its name.
type File struct {
	sys  system
	file handle
	temp string // where it lies until then
	name string
	perm fs.FileMode

	unlock func() // releases the lock; nil: the file was never locked
	err    error  // the first error; nothing is committed after it
	sealed bool
	ended  bool
}

// Create begins a file that will replace name, with exactly the mode perm, regardless of the umask. Until the commit
// it lies beside name as .NAME.ociproxy-* and only its owner can read it. A symbolic link called name is replaced,
// not followed.
func Create(name string, perm fs.FileMode) (*File, error) {
	return CreateAt(filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+mark+"*"), name, perm)
}

// CreateAt is like [Create], but the caller chooses where the file lies until the commit. temp is a path whose last
// element is a pattern for [os.CreateTemp], on the same file system as name.
func CreateAt(temp, name string, perm fs.FileMode) (*File, error) {
	return create(disk, temp, name, perm)
}

func create(sys system, temp, name string, perm fs.FileMode) (*File, error) {
	for {
		file, err := sys.createTemp(filepath.Dir(temp), filepath.Base(temp))
		if err != nil {
			return nil, err
		}
		f := &File{sys: sys, file: file, temp: file.Name(), name: name, perm: perm}
		if sys.lock == nil {
			return f, nil
		}
		unlock, free := sys.lock(f.temp)
		if free {
			f.unlock = unlock
			return f, nil
		}
		_ = file.Close() // another process removed the file before it was locked
	}
}

// Write makes name contain data with the mode perm, or leaves name unchanged. See [Create] and [File.Commit].
func Write(name string, data []byte, perm fs.FileMode) error {
	f, err := Create(name, perm)
	if err != nil {
		return err
	}
	_, _ = f.Write(data) // Commit returns this error
	return f.Commit()
}

// Write implements [io.Writer]. After an error the file cannot be committed.
func (f *File) Write(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.file.Write(p)
	f.err = err
	return n, err
}

// Temp returns the path of the file until the commit.
func (f *File) Temp() string { return f.temp }

// Seal ends the writing and syncs the content to the disk. Commit and CommitNew call it. Call it yourself if you need
// to use [File.Temp] before the commit. An error of an earlier Write is an error of Seal too. After an error nothing
// is left.
func (f *File) Seal() error {
	if f.err == nil && !f.sealed {
		f.err = f.seal()
	}
	if f.err != nil {
		return errors.Join(f.err, f.Abort())
	}
	return nil
}

// private is the mode of a file before the commit.
const private = 0o600

func (f *File) seal() error {
	if f.perm != private { // the file has that mode already; a file system without modes need not support Chmod
		if err := f.file.Chmod(f.perm); err != nil {
			return err
		}
	}
	if err := f.file.Sync(); err != nil {
		return err
	}
	f.sealed = true
	return f.file.Close()
}

// Commit gives the file its name and replaces the file that had it. After an error nothing has changed and nothing is
// left, with one exception: an error of [SyncDir], the last step. Then the file has its name, but a power failure
// could undo that.
func (f *File) Commit() error {
	if err := f.Seal(); err != nil {
		return err
	}
	if err := f.sys.rename(f.temp, f.name); err != nil {
		f.err = err
		return errors.Join(err, f.Abort())
	}
	f.end()
	return f.sys.syncDir(filepath.Dir(f.name))
}

// CommitNew gives the file its name if no file has that name. Otherwise the error is [fs.ErrExist], even if another
// process created that file a moment ago. Other errors are those of [File.Commit].
func (f *File) CommitNew() error {
	if err := f.Seal(); err != nil {
		return err
	}
	if err := f.sys.link(f.temp, f.name); err != nil { // a rename would replace
		f.err = err
		return errors.Join(err, f.Abort())
	}
	_ = f.sys.remove(f.temp) // only a second name of a complete file, so ignore the error
	f.end()
	return f.sys.syncDir(filepath.Dir(f.name))
}

// errEnded is the error of using a file after it was committed or aborted.
var errEnded = errors.New("the file was committed or given up already")

// Abort removes what was written. It may be called at any time, and does nothing after a commit.
func (f *File) Abort() error {
	if f.ended {
		return nil
	}
	if !f.sealed {
		_ = f.file.Close() // its content is not needed
	}
	err := f.sys.remove(f.temp)
	f.end()
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (f *File) end() {
	f.ended = true
	if f.err == nil {
		f.err = errEnded
	}
	if f.unlock != nil {
		f.unlock()
		f.unlock = nil
	}
}

// handle has the methods of [os.File] that this package needs.
type handle interface {
	Name() string
	Write(p []byte) (int, error)
	Chmod(fs.FileMode) error
	Sync() error
	Close() error
}

// system has the functions of the operating system, so that tests can make each step fail.
type system struct {
	createTemp      func(dir, pattern string) (handle, error)
	rename, link    func(from, to string) error
	remove, syncDir func(name string) error
	// lock marks a file as in use, see [lock]; nil: files are not marked.
	lock func(name string) (unlock func(), free bool)
}

var disk = system{
	createTemp: func(dir, pattern string) (handle, error) { return os.CreateTemp(dir, pattern) },
	rename:     os.Rename,
	link:       os.Link,
	remove:     os.Remove,
	syncDir:    SyncDir,
	lock:       lock,
}
