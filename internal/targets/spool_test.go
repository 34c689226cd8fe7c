package targets

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"ociproxy/internal/config"
)

// TestSpoolIsOurs: a directory that others may have made where everybody may write is not used, unless the config names it.
func TestSpoolIsOurs(t *testing.T) {
	for name, c := range map[string]struct {
		make func(dir string) error
		want error
	}{
		"there is none":   {func(string) error { return nil }, nil},
		"our own":         {func(dir string) error { return os.Mkdir(dir, 0o755) }, nil},
		"open to all":     {func(dir string) error { return errors.Join(os.Mkdir(dir, 0o755), os.Chmod(dir, 0o777)) }, errNotPrivate},
		"leads elsewhere": {func(dir string) error { return os.Symlink(filepath.Dir(dir), dir) }, errNotPrivate},
	} {
		t.Run(name, func(t *testing.T) {
			temp := t.TempDir()
			t.Setenv("TMPDIR", temp)
			if err := c.make(Dir(&config.Config{})); err != nil {
				t.Fatal(err)
			}
			if _, err := makeDir(&config.Config{}); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			var named config.Config
			named.Mirror.Spool.Dir = Dir(&config.Config{})
			if _, err := makeDir(&named); err != nil {
				t.Errorf("named: %v", err)
			}
		})
	}
}
