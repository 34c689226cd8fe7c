package targets

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ociproxy/internal/config"
)

// Dir is the directory of the spool.
func Dir(cfg *config.Config) string {
	if d := cfg.Mirror.Spool.Dir; d != "" {
		return d
	}
	return filepath.Join(os.TempDir(), "oci-proxy-spool")
}

// errNotPrivate is about a spool in a shared directory, under a name that any user may take first: the owner of that
// directory could change bytes after they were compared with their digest.
var errNotPrivate = errors.New("it belongs to another user, or other users may write to it: remove it, or set mirror.spool.dir")

// makeDir makes the directory of the spool. It does not check a directory that the config names.
func makeDir(cfg *config.Config) (string, error) {
	dir := Dir(cfg)
	err := os.MkdirAll(dir, 0o700)
	if err == nil && cfg.Mirror.Spool.Dir == "" {
		err = private(dir)
	}
	if err != nil {
		return "", fmt.Errorf("make the spool %s: %w", dir, err)
	}
	return dir, nil
}

func private(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeDir || info.Mode().Perm()&0o022 != 0 || !mine(info) {
		return errNotPrivate
	}
	return nil
}
