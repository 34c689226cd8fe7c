package store

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// Put implements [Bucket]. The bytes go to a file aside while they arrive; once they are verified and on the disk, the file gets
// its name.
func (b *files) Put(ctx context.Context, key string, c Content, h Header, version string) (Attrs, error) {
	path, err := b.path(key)
	if err != nil {
		return Attrs{}, err
	}
	// What can be refused now need not be written first. It is looked at again under the lock.
	if _, err := unchanged(path, version); err != nil {
		return Attrs{}, b.failure("put", key, err)
	}
	f, about, err := b.write(ctx, key, c)
	if err != nil {
		return Attrs{}, b.failure("put", key, err)
	}
	defer os.Remove(f) //nolint:errcheck // gone when it got its name
	about.ContentType, about.Cache = h.ContentType, h.CacheControl
	if err := b.publish(f, path, key, about, version); err != nil {
		return Attrs{}, b.failure("put", key, err)
	}
	return b.Head(ctx, key)
}

// write writes verified content to a file aside and returns its path.
func (b *files) write(ctx context.Context, key string, c Content) (path string, about beside, err error) {
	dir := filepath.Join(b.dir, aside, "new")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", beside{}, err
	}
	f, err := os.CreateTemp(dir, url.PathEscape(key)+".*")
	if err != nil {
		return "", beside{}, err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name()) //nolint:errcheck // Clean removes it otherwise
		}
	}()
	s, err := sum(ctx, c, 0, c.Size(), f)
	if err != nil {
		return "", beside{}, err
	}
	if err := c.Verified(ctx); err != nil {
		return "", beside{}, err
	}
	got := hex.EncodeToString(s.sha256[:])
	if want := c.SHA256(); want != "" && want != got {
		return "", beside{}, fmt.Errorf("sha256 of what was written is %s, not %s", got, want)
	}
	if s.crc != c.CRC32C() {
		return "", beside{}, fmt.Errorf("crc32c of what was written is %08x, not %08x", s.crc, c.CRC32C())
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return "", beside{}, err
	}
	return f.Name(), beside{SHA256: got, CRC32C: s.crc}, nil
}

// unchanged says whether the object still is the given version, and describes what there is.
func unchanged(path, version string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && version == "":
		return nil, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrConflict
	case err != nil:
		return nil, err
	case version == "":
		return nil, ErrExists
	case fileVersion(info) != version:
		return nil, ErrConflict
	}
	return info, nil
}

// publish gives a written file its name.
func (b *files) publish(from, path, key string, about beside, version string) error {
	unlock, err := b.lock(key)
	if err != nil {
		return err
	}
	defer unlock()
	old, err := unchanged(path, version)
	if err != nil {
		return err
	}
	// The clock of files may tick only every few milliseconds, and may be set back: two versions must differ.
	now := time.Now()
	if old != nil && !now.After(old.ModTime()) {
		now = old.ModTime().Add(time.Millisecond)
	}
	if err := os.Chtimes(from, now, now); err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	about.Version = fileVersion(info)
	if err := b.describe(key, about); err != nil {
		return err
	}
	if err := b.mkdir(filepath.Dir(path)); err != nil {
		return err
	}
	if version == "" {
		// A link fails where there is a file, even one put there by somebody who knows nothing of our locks.
		err = os.Link(from, path)
		if errors.Is(err, fs.ErrExist) {
			err = ErrExists
		}
	} else {
		err = os.Rename(from, path)
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// describe writes what lies beside an object. It is written first: without its object it says nothing, and an object without it has
// no checksums.
func (b *files) describe(key string, about beside) error {
	data, err := json.Marshal(about)
	if err != nil {
		return err
	}
	path := b.besidePath(key)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temp := path + ".new" // one writer at a time
	if err := os.WriteFile(temp, data, 0o644); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// mkdir makes a directory of objects, durably.
func (b *files) mkdir(dir string) error {
	if _, err := os.Stat(dir); err == nil || dir == b.dir {
		return err
	}
	if err := b.mkdir(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
