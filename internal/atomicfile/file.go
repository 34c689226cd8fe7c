package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// File is a file on its way: it has its name when Commit or CommitNew has returned nil, and before that nothing is seen
// of it. One goroutine uses it. Whoever makes one calls Abort at the end, which does nothing to a file that has its name.
type File struct {
	sys  system
	file handle
	temp string // where it lies aside
	name string
	perm fs.FileMode

	unlock func() // says that nobody uses it any more; nil: it was never locked
	err    error  // the first; nothing is committed after it
	sealed bool
	ended  bool
}

// Create begins a file that is to replace name, with exactly the mode perm, whatever the umask. Until it is committed it
// lies beside it as .NAME.ociproxy-* and is for the owner only. A symbolic link of that name is replaced, not followed.
func Create(name string, perm fs.FileMode) (*File, error) {
	return CreateAt(filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+mark+"*"), name, perm)
}

// CreateAt is [Create] for who wants to choose where the file lies until then: temp is a path whose last element is a
// pattern of [os.CreateTemp], on the file system of name.
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
		_ = file.Close() // another process has swept it before it was locked
	}
}

// Write makes name hold data with the mode perm, or leaves it as it was. See [Create] and [File.Commit].
func Write(name string, data []byte, perm fs.FileMode) error {
	f, err := Create(name, perm)
	if err != nil {
		return err
	}
	_, _ = f.Write(data) // Commit returns its error
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

// Temp is where the file lies until it is committed.
func (f *File) Temp() string { return f.temp }

// Seal ends the writing and brings what was written to the disk. Commit and CommitNew do it themselves; it is for who
// has something to do with [File.Temp] in between. After an error, which is also that of an earlier Write, nothing is left.
func (f *File) Seal() error {
	if f.err == nil && !f.sealed {
		f.err = f.seal()
	}
	if f.err != nil {
		return errors.Join(f.err, f.Abort())
	}
	return nil
}

// private is the mode of a new file aside.
const private = 0o600

func (f *File) seal() error {
	if f.perm != private { // a file system without modes need not be asked for that one
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

// Commit gives the file its name, in place of what had it. With an error nothing has changed and nothing is left, but
// for an error of [SyncDir], the last step: then the file has its name, and might lose it with the power.
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

// CommitNew gives the file its name if nothing has it; else the error is [fs.ErrExist], whoever made what is there, and
// however short a moment ago. Other errors are those of [File.Commit].
func (f *File) CommitNew() error {
	if err := f.Seal(); err != nil {
		return err
	}
	if err := f.sys.link(f.temp, f.name); err != nil { // a rename would replace
		f.err = err
		return errors.Join(err, f.Abort())
	}
	_ = f.sys.remove(f.temp) // it is a second name of a whole file: no reason to say that there is none
	f.end()
	return f.sys.syncDir(filepath.Dir(f.name))
}

// errEnded is the error of using a file that was committed or given up.
var errEnded = errors.New("the file was committed or given up already")

// Abort removes what was written. It may be called at any time, and does nothing to a file that was committed.
func (f *File) Abort() error {
	if f.ended {
		return nil
	}
	if !f.sealed {
		_ = f.file.Close() // its content is of no use
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

// handle is what is needed of an [os.File].
type handle interface {
	Name() string
	Write(p []byte) (int, error)
	Chmod(fs.FileMode) error
	Sync() error
	Close() error
}

// system is what is asked of the system, so that tests can let each step fail.
type system struct {
	createTemp      func(dir, pattern string) (handle, error)
	rename, link    func(from, to string) error
	remove, syncDir func(name string) error
	// lock marks a file as in use, see [lock]; nil: nothing does.
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
