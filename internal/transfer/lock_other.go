//go:build !unix || solaris || illumos || aix

package transfer

import (
	"errors"
	"io/fs"
	"os"
)

// errLocked: another process has the lock.
var errLocked = errors.New("locked by another process")

// lockFile takes a lock by creating a file that is there already when another process has it. Without advisory locks it outlives a
// process that was killed; the folder is then not used again, and the next number is.
func lockFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, errLocked
	}
	return f, err
}

// unlockFile gives the lock back.
func unlockFile(f *os.File) error {
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
