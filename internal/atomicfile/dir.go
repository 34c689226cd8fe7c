package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// SyncDir brings to the disk which names a directory has. That it may not be read, or that the file system cannot do
// this for directories, is no error: there is nothing more to do then, and the names are there.
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

// harmless says that a directory cannot be brought to the disk by us. EINVAL is how fsync(2) of Linux says so.
func harmless(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL)
}
