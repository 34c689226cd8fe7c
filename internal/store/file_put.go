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

	"ociproxy/internal/atomicfile"
)

// Put implements [Bucket]. The bytes go to a separate file while they arrive. When they are verified and on the disk,
// the file gets its name.
func (b *files) Put(ctx context.Context, key string, c Content, h Header, version string) (Attrs, error) {
	path, err := b.path(key)
	if err != nil {
		return Attrs{}, err
	}
	// A write that can be refused now does not have to be written first. The check is repeated under the lock.
	if _, err := unchanged(path, version); err != nil {
		return Attrs{}, b.failure("put", key, err)
	}
	f, about, err := b.write(ctx, key, path, c)
	if err != nil {
		return Attrs{}, b.failure("put", key, err)
	}
	defer f.Abort() //nolint:errcheck // Clean removes it otherwise
	about.ContentType, about.Cache = h.ContentType, h.CacheControl
	if err := b.publish(f, path, key, about, version); err != nil {
		return Attrs{}, b.failure("put", key, err)
	}
	return b.Head(ctx, key)
}

// write writes verified content to a separate file that publish later moves to path.
func (b *files) write(ctx context.Context, key, path string, c Content) (_ *atomicfile.File, _ beside, err error) {
	dir := filepath.Join(b.dir, aside, "new")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, beside{}, err
	}
	f, err := atomicfile.CreateAt(filepath.Join(dir, url.PathEscape(key)+".*"), path, 0o644)
	if err != nil {
		return nil, beside{}, err
	}
	defer func() {
		if err != nil {
			f.Abort() //nolint:errcheck // Clean removes it otherwise
		}
	}()
	s, err := sum(ctx, c, 0, c.Size(), f)
	if err != nil {
		return nil, beside{}, err
	}
	if err := c.Verified(ctx); err != nil {
		return nil, beside{}, err
	}
	got := hex.EncodeToString(s.sha256[:])
	if want := c.SHA256(); want != "" && want != got {
		return nil, beside{}, fmt.Errorf("sha256 of what was written is %s, not %s", got, want)
	}
	if s.crc != c.CRC32C() {
		return nil, beside{}, fmt.Errorf("crc32c of what was written is %08x, not %08x", s.crc, c.CRC32C())
	}
	return f, beside{SHA256: got, CRC32C: s.crc}, f.Seal()
}

// unchanged checks that the object still has the given version, and returns the present file. If not, the error is
// ErrExists or ErrConflict.
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

// publish gives a written file its final name.
func (b *files) publish(f *atomicfile.File, path, key string, about beside, version string) error {
	unlock, err := b.lock(key)
	if err != nil {
		return err
	}
	defer unlock()
	old, err := unchanged(path, version)
	if err != nil {
		return err
	}
	// Two versions must differ, but the clock of files may tick only every few milliseconds, and may be set back.
	now := time.Now()
	if old != nil && !now.After(old.ModTime()) {
		now = old.ModTime().Add(time.Millisecond)
	}
	if err := os.Chtimes(f.Temp(), now, now); err != nil {
		return err
	}
	info, err := os.Stat(f.Temp())
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
	if version != "" {
		return f.Commit()
	}
	// CommitNew fails if the file exists, even if another program put it there without our locks.
	err = f.CommitNew()
	if errors.Is(err, fs.ErrExist) {
		return ErrExists
	}
	return err
}

// describe writes the file beside an object. It is written before the object: without its object it has no effect, and
// an object without it would have no checksums. It is not synced to the disk, which would take as long as for the
// object itself. After a power failure it may be cut off or describe another version, and then it is ignored.
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

// mkdir makes a directory for objects, durably.
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
	return atomicfile.SyncDir(filepath.Dir(dir))
}
