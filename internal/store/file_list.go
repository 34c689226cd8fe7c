package store

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// listPage is how many names of one directory are in memory at once, for one directory of each level.
const listPage = 16384

// List implements [Bucket]. It reads a directory with more names than a page several times, once for each page. That is
// slow for ten million files, but it bounds memory.
func (b *files) List(ctx context.Context, prefix, after string) iter.Seq2[Attrs, error] {
	return func(yield func(Attrs, error) bool) {
		if _, err := os.Stat(b.dir); err != nil { // perhaps not mounted: that says nothing about what it holds
			yield(Attrs{}, fmt.Errorf("list %s of %s: %w: %w", prefix, b, ErrUnfit, err))
			return
		}
		l := &lister{ctx: ctx, dir: b.dir, prefix: prefix, after: after, page: listPage, yield: func(a Attrs) bool { return yield(a, nil) }}
		if err := l.walk(""); err != nil && !errors.Is(err, errStopped) {
			yield(Attrs{}, b.failure("list", prefix, err))
		}
	}
}

var errStopped = errors.New("stopped")

type lister struct {
	ctx           context.Context // lives as long as the call of List
	dir           string
	prefix, after string
	page          int
	above         []fs.FileInfo // the directories being walked, from the top
	yield         func(Attrs) bool
}

// walk visits everything in a directory; at is its key with "/" at the end, or "".
//
// A link to a directory counts as a directory, because objects below it can be read by key. A link back to a directory
// above it is skipped, since it adds no objects.
func (l *lister) walk(at string) error {
	info, err := os.Stat(filepath.Join(l.dir, filepath.FromSlash(at)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || slices.ContainsFunc(l.above, func(above fs.FileInfo) bool { return os.SameFile(above, info) }) {
		return err
	}
	l.above = append(l.above, info)
	defer func() { l.above = l.above[:len(l.above)-1] }()
	for last := ""; ; {
		names, err := l.next(at, last)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := l.visit(at, name); err != nil {
				return err
			}
		}
		if len(names) < l.page {
			return nil
		}
		last = names[len(names)-1]
	}
}

// visit yields an object, or walks a directory, whose name ends in "/".
func (l *lister) visit(at, name string) error {
	if strings.HasSuffix(name, "/") {
		return l.walk(at + name)
	}
	info, err := os.Stat(filepath.Join(l.dir, filepath.FromSlash(at+name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted in the meantime
	}
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() { // a pipe or a device is no object; Head agrees
		return nil
	}
	if !l.yield(listed(at+name, info)) {
		return errStopped
	}
	return nil
}

// next returns the next page of names after last, in the order of keys. The name of a directory includes its "/".
func (l *lister) next(at, last string) ([]string, error) {
	d, err := os.Open(filepath.Join(l.dir, filepath.FromSlash(at)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	var page largestFirst
	for {
		entries, err := d.ReadDir(1024)
		for _, e := range entries {
			name := e.Name()
			if l.isDir(at, e) {
				name += "/"
			}
			if name <= last || !l.wants(at+name) {
				continue
			}
			heap.Push(&page, name)
			if len(page) > l.page {
				heap.Pop(&page)
			}
		}
		if errors.Is(err, io.EOF) {
			slices.Sort(page)
			return page, nil
		}
		if err := cmp.Or(err, l.ctx.Err()); err != nil {
			return nil, err
		}
	}
}

// isDir reports whether an entry is a directory, or a link to one.
func (l *lister) isDir(at string, e fs.DirEntry) bool {
	if e.Type()&fs.ModeSymlink == 0 {
		return e.IsDir()
	}
	info, err := os.Stat(filepath.Join(l.dir, filepath.FromSlash(at), e.Name()))
	return err == nil && info.IsDir()
}

// wants reports whether an object, or an object below a directory, may belong to the list.
func (l *lister) wants(key string) bool {
	if key == aside+"/" {
		return false
	}
	if !strings.HasSuffix(key, "/") {
		return key > l.after && strings.HasPrefix(key, l.prefix)
	}
	inside := strings.HasPrefix(key, l.prefix) || strings.HasPrefix(l.prefix, key)
	return inside && (key > l.after || strings.HasPrefix(l.after, key))
}

// largestFirst is a heap that pops its largest name.
type largestFirst []string

func (h largestFirst) Len() int           { return len(h) }
func (h largestFirst) Less(i, j int) bool { return h[i] > h[j] }
func (h largestFirst) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *largestFirst) Push(x any)        { *h = append(*h, x.(string)) }
func (h *largestFirst) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
