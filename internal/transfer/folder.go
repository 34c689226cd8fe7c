package transfer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ociproxy/internal/oci"
)

// keepFor is how long the file of an earlier process is kept, so that its download can be continued.
const keepFor = 72 * time.Hour

// maxFolders bounds the processes that share one directory.
const maxFolders = 1024

// folder is where the spool keeps its files: one of several numbered folders below the configured directory. It is
// locked, so that two processes never write the same file. A file is named "<alg>-<hex>.part" after its blob. The
// folder leaves other files alone. Once it is made, the engine's lock guards it.
type folder struct {
	path string
	lock *os.File
	left map[oci.Digest]leftover // files without work
}

// leftover is a file of an earlier process or an earlier try.
type leftover struct {
	size int64
	when time.Time
}

// openFolder takes the first folder below dir that no process uses. It removes old files from all unused folders.
func openFolder(dir string) (*folder, error) {
	var mine *folder
	for i := range maxFolders {
		path := filepath.Join(dir, fmt.Sprintf("spool-%d", i))
		if mine != nil {
			if _, err := os.Stat(path); err != nil {
				break // the numbers have no gaps
			}
		}
		if err := os.MkdirAll(path, 0o700); err != nil {
			return nil, fmt.Errorf("spool: %w", err)
		}
		lock, err := lockFile(filepath.Join(path, "lock"))
		if errors.Is(err, errLocked) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("spool: %w", err)
		}
		d := &folder{path: path, lock: lock, left: map[oci.Digest]leftover{}}
		if err := d.scan(); err != nil {
			_ = unlockFile(lock)
			return nil, fmt.Errorf("spool: %w", err)
		}
		if mine == nil {
			mine = d
		} else {
			_ = unlockFile(lock)
		}
	}
	if mine == nil {
		return nil, fmt.Errorf("spool %s: %d processes use it already", dir, maxFolders)
	}
	return mine, nil
}

// scan finds the files that are there, and removes old ones.
func (d *folder) scan() error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name, part := strings.CutSuffix(entry.Name(), ".part")
		alg, hex, _ := strings.Cut(name, "-")
		digest, err := oci.ParseDigest(alg + ":" + hex)
		if !part || err != nil || !digest.InStores() {
			continue
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			continue
		}
		if err != nil {
			return err
		}
		if time.Since(info.ModTime()) > keepFor {
			if err := os.Remove(d.name(digest)); err != nil {
				return err
			}
			continue
		}
		d.left[digest] = leftover{size: info.Size(), when: info.ModTime()}
	}
	return nil
}

func (d *folder) name(b oci.Digest) string {
	return filepath.Join(d.path, b.Algorithm()+"-"+b.Hex()+".part")
}

// size returns the bytes of all leftovers.
func (d *folder) size() (n int64) {
	for _, l := range d.left {
		n += l.size
	}
	return n
}

// take marks a blob's file as in use and returns its size.
func (d *folder) take(b oci.Digest) int64 {
	n := d.left[b].size
	delete(d.left, b)
	return n
}

// open opens a blob's file, and returns its size. The caller of take may call it without the lock.
func (d *folder) open(b oci.Digest) (*os.File, int64, error) {
	f, err := os.OpenFile(d.name(b), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// remove removes a blob's file. If that fails, the next process finds the file.
func (d *folder) remove(b oci.Digest) { _ = os.Remove(d.name(b)) }

// keep leaves a blob's file for later if it has at least that many bytes, and returns its size.
func (d *folder) keep(b oci.Digest, least int64) int64 {
	info, err := os.Stat(d.name(b))
	if err != nil {
		return 0
	}
	if info.Size() < least {
		if os.Remove(d.name(b)) == nil {
			return 0
		}
	}
	d.left[b] = leftover{size: info.Size(), when: info.ModTime()}
	return info.Size()
}

// evict removes the oldest leftover and returns its size.
func (d *folder) evict() (n int64, found bool) {
	var oldest oci.Digest
	for b, l := range d.left {
		if oldest.IsZero() || l.when.Before(d.left[oldest].when) {
			oldest = b
		}
	}
	if oldest.IsZero() {
		return 0, false
	}
	n = d.take(oldest)
	d.remove(oldest)
	return n, true
}

// close releases the folder. Its files stay.
func (d *folder) close() error { return unlockFile(d.lock) }
