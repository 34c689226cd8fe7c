//go:build unix

package refresh

import "syscall"

// free returns how many bytes a directory's disk has left for this user.
func free(dir string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:unconvert // not the same type on every system
}
