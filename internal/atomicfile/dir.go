package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// SyncDir syncs a directory's entries to the disk. Two cases are not errors, because nothing more can be done and the
// names are there: the directory may not be read, or the file system cannot sync directories.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err == nil {
		defer d.Close()
		err = d.Sync()
	}
	if harmless(err) {
		return nil
	}
	return err
}

// harmless reports whether err means that we cannot sync a directory. fsync(2) of Linux returns EINVAL for this.
func harmless(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL)
}
