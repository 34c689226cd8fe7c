package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/store/address"
)

// files is a directory as a bucket. An object is a file with the name of its key, so any web server can serve it.
//
// A separate directory beside the objects has locks, files in progress, and what an object's file cannot hold: its
// headers and checksums, in a file that names the version it describes. Every change of an object happens under a lock
// of its key. The system drops the lock when a process dies, so several processes on one machine may write. The version
// is the file's modification time, which is set so that it always rises, and its size.
type files struct {
	dir string
}

// aside is the directory beside the objects; no key lies below it.
const aside = ".oci-proxy"

func openFile(_ context.Context, at address.Bucket, _ Options) (Bucket, error) {
	return &files{dir: at.Dir}, nil
}

func (b *files) String() string { return "file://" + filepath.ToSlash(b.dir) }

// Check implements [Bucket]. A directory has no owner and lies in no region.
func (b *files) Check(ctx context.Context, probe string) error {
	info, err := os.Stat(b.dir)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w: %w", b, ErrUnfit, err)
	case !info.IsDir():
		return fmt.Errorf("%s: %w: it is not a directory", b, ErrUnfit)
	}
	return checkConditions(ctx, b, probe)
}

func (b *files) path(key string) (string, error) {
	if err := address.CheckKey(key); err != nil {
		return "", err
	}
	if first, _, _ := strings.Cut(key, "/"); first == aside {
		return "", fmt.Errorf("key %q: %s is not for objects", key, aside)
	}
	return filepath.Join(b.dir, filepath.FromSlash(key)), nil
}

// beside is what an object's file cannot hold.
type beside struct {
	Version     string `json:"version"` // the version that this describes; it is not valid for any other
	SHA256      string `json:"sha256"`
	CRC32C      uint32 `json:"crc32c"`
	ContentType string `json:"contentType,omitempty"`
	Cache       string `json:"cacheControl,omitempty"`
}

func (b *files) besidePath(key string) string {
	return filepath.Join(b.dir, aside, "about", filepath.FromSlash(key)+".json")
}

func fileVersion(info fs.FileInfo) string {
	return strconv.FormatInt(info.ModTime().UnixNano(), 36) + "-" + strconv.FormatInt(info.Size(), 36)
}

// listed returns what the file alone shows.
func listed(key string, info fs.FileInfo) Attrs {
	return Attrs{Key: key, Size: info.Size(), Version: fileVersion(info), Modified: info.ModTime().UTC()}
}

// attrs adds what the file beside the object says. A file that another program put there has no such file, and that is
// no error.
func (b *files) attrs(key string, info fs.FileInfo) (Attrs, error) {
	a := listed(key, info)
	data, err := os.ReadFile(b.besidePath(key))
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return Attrs{}, err
	}
	var about beside
	if err := json.Unmarshal(data, &about); err != nil || about.Version != a.Version {
		return a, nil //nolint:nilerror // cut off, or of another version: it says nothing about this one
	}
	a.SHA256, a.CRC32C = about.SHA256, &about.CRC32C
	a.Header = Header{ContentType: about.ContentType, CacheControl: about.Cache}
	return a, nil
}

// Head implements [Bucket].
func (b *files) Head(ctx context.Context, key string) (Attrs, error) {
	path, err := b.path(key)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return Attrs{}, err
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return Attrs{}, b.failure("head", key, err)
	}
	a, err := b.attrs(key, info)
	if err != nil {
		return Attrs{}, b.failure("head", key, err)
	}
	return a, nil
}

// Get implements [Bucket]. The open file keeps its version, even if the object is replaced.
func (b *files) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, Attrs, error) {
	path, err := b.path(key)
	if err != nil {
		return nil, Attrs{}, err
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() { // opening a pipe would wait for its writer
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, Attrs{}, b.failure("get", key, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, Attrs{}, b.failure("get", key, err)
	}
	body, a, err := b.open(ctx, f, key, off, n)
	if err != nil {
		f.Close()
		return nil, Attrs{}, b.failure("get", key, err)
	}
	return body, a, nil
}

func (b *files) open(ctx context.Context, f *os.File, key string, off, n int64) (io.ReadCloser, Attrs, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, Attrs{}, err
	}
	if !info.Mode().IsRegular() {
		return nil, Attrs{}, fs.ErrNotExist
	}
	if n < 0 {
		n = info.Size() - off
	}
	if off < 0 || n < 0 || off+n > info.Size() {
		return nil, Attrs{}, fmt.Errorf("bytes %d to %d of %d: %w", off, off+n, info.Size(), io.ErrUnexpectedEOF)
	}
	a, err := b.attrs(key, info)
	if err != nil {
		return nil, Attrs{}, err
	}
	return &section{Reader: io.NewSectionReader(f, off, n), Closer: f, ctx: ctx}, a, nil
}

// section reads a part of a file until ctx ends.
type section struct {
	io.Reader
	io.Closer
	ctx context.Context // the context of Get, which also limits the reading
}

func (s *section) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.Reader.Read(p)
}

// failure adds to an error what was tried, and the matching sentinel error.
func (b *files) failure(verb, key string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = ErrNotFound
	case errors.Is(err, fs.ErrPermission):
		err = fmt.Errorf("%w: %w", ErrDenied, err)
	}
	return fmt.Errorf("%s %s/%s: %w", verb, b, key, err)
}

// lock keeps all other writers of the key out, in this process and in others.
func (b *files) lock(key string) (unlock func(), err error) {
	h := fnv.New32a()
	h.Write([]byte(key))
	dir := filepath.Join(b.dir, aside, "locks")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	// A few keys share a lock. That is fine, because a lock is held only for the time of a rename.
	return lockedfile.MutexAt(filepath.Join(dir, fmt.Sprintf("%02x", h.Sum32()%256))).Lock()
}

// Delete implements [Bucket].
func (b *files) Delete(ctx context.Context, key, version string) error {
	path, err := b.path(key)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	if err := b.remove(path, key, version); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return b.failure("delete", key, err)
	}
	return nil
}

func (b *files) remove(path, key, version string) error {
	unlock, err := b.lock(key)
	if err != nil {
		return err
	}
	defer unlock()
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fs.ErrNotExist
	}
	if version != "" && version != fileVersion(info) {
		return ErrConflict
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	if err := os.Remove(b.besidePath(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(path))
}

// Clean implements [Cleaner]. It removes files in progress that were not written to for longer than age.
func (b *files) Clean(ctx context.Context, prefix string, age time.Duration) (int, error) {
	dir := filepath.Join(b.dir, aside, "new")
	names, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, b.failure("clean", prefix, err)
	}
	n := 0
	for _, e := range names {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		key, err := url.PathUnescape(e.Name())
		if err != nil || !strings.HasPrefix(key, prefix) {
			continue
		}
		info, err := e.Info()
		if err != nil || time.Since(info.ModTime()) < age {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err == nil {
			n++
		}
	}
	return n, nil
}
