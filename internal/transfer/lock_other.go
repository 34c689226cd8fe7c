//go:build !unix || solaris || illumos || aix

package transfer

import (
	"errors"
	"io/fs"
	"os"
)

// errLocked says that another process has the lock.
var errLocked = errors.New("locked by another process")

// lockFile takes a lock by creating a file. It fails when the file exists because another process has the lock.
// Without advisory locks, the lock survives a killed process. That folder is then not used again; the next number is.
func lockFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, errLocked
	}
	return f, err
}

// unlockFile releases the lock.
func unlockFile(f *os.File) error {
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
