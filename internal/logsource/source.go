package logsource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"

	"ociproxy/internal/accesslog"
	"ociproxy/internal/store"
	"ociproxy/internal/store/address"
	"ociproxy/internal/traffic"
)

// Options of [Parse].
type Options struct {
	Stdin io.Reader     // for "-"
	Store store.Options // how buckets are opened: environment, time-outs
}

// Source is one place with logs. It is safe for concurrent use, except that stdin can be opened once.
type Source struct {
	name   string       // without secrets
	text   string       // the URL, file or pattern
	bucket store.Bucket // nil: files
	stdin  io.Reader    // for "-"
	opened atomic.Bool  // stdin was read
}

// Parse makes a source of a file, a directory, a pattern of file names, "-" for stdin, or the URL of a bucket: s3://…,
// gs://…, azblob://… and file://…, as stores in the config have them. It makes no request.
func Parse(ctx context.Context, text string, opt Options) (*Source, error) {
	switch {
	case text == "":
		return nil, errors.New("the name of the logs is empty")
	case text == "-":
		return &Source{name: "stdin", text: text, stdin: cmp.Or[io.Reader](opt.Stdin, os.Stdin)}, nil
	case strings.HasPrefix(text, "file://"):
		at, err := address.Parse(text)
		if err != nil {
			return nil, err
		}
		text = at.Dir
	case strings.Contains(text, "://"):
		b, err := store.Open(ctx, text, opt.Store)
		if err != nil {
			return nil, err
		}
		at, err := address.Parse(text)
		if err != nil {
			return nil, err
		}
		return &Source{name: strings.TrimSuffix(at.Shown(), "/") + "/", text: text, bucket: b}, nil
	}
	if _, err := filepath.Match(text, ""); err != nil {
		return nil, fmt.Errorf("logs %s: %w", text, err)
	}
	name, err := filepath.Abs(text)
	if err != nil {
		return nil, err
	}
	return &Source{name: name, text: name}, nil // another run may have another working directory
}

// String names the source, without secrets.
func (s *Source) String() string { return s.name }

// Stdin reports whether the source is stdin, which has no name, no day, and can be read once.
func (s *Source) Stdin() bool { return s.stdin != nil }

// Overlaps reports whether two places have logs in common, because one lies in the other. It compares only their names,
// as [Source.String] gives them.
func Overlaps(a, b string) bool {
	dir := func(name string) string { return strings.TrimSuffix(name, "/") + "/" }
	return strings.HasPrefix(dir(a), dir(b)) || strings.HasPrefix(dir(b), dir(a))
}

// Object is one log: a file, or an object of a bucket.
type Object struct {
	Source   *Source
	Name     string // of the file, or the key in the bucket below the prefix of the URL
	Version  string // changes when the content does: an ETag, or the time of a file
	Size     int64  // in bytes, as stored; -1: not known, for stdin
	Modified time.Time
	Day      traffic.Day // in the name; 0: it has none
	Hidden   string      // why it cannot be read, "": it can
}

// Compressed reports whether the object is compressed, by its name.
func (o *Object) Compressed() bool {
	ext := path.Ext(o.Name)
	return ext == ".gz" || ext == ".zst"
}

// String names the object for messages.
func (o *Object) String() string {
	switch {
	case o.Source.bucket != nil:
		return o.Source.name + o.Name
	case o.Source.stdin != nil:
		return "stdin"
	}
	return o.Name
}

// List returns the logs of the days, in the order of their names. Logs without a day in their name are always
// returned. Of a bucket, days that are not wanted are skipped with one request each time they begin, and not listed.
// The last pair may be an error.
func (s *Source) List(ctx context.Context, days Days) iter.Seq2[*Object, error] {
	switch {
	case s.bucket != nil:
		return s.listBucket(ctx, days)
	case s.stdin != nil:
		return func(yield func(*Object, error) bool) { yield(&Object{Source: s, Name: "-", Size: -1}, nil) }
	}
	return s.listFiles(ctx, days)
}

func (s *Source) listBucket(ctx context.Context, days Days) iter.Seq2[*Object, error] {
	return func(yield func(*Object, error) bool) {
		for after, more := "", true; more; {
			more = false
			for at, err := range s.bucket.List(ctx, "", after) {
				if err != nil {
					yield(nil, fmt.Errorf("list the logs in %s: %w", s.name, err))
					return
				}
				if strings.HasSuffix(at.Key, "/") && at.Size == 0 {
					continue // consoles make such objects for folders
				}
				o := &Object{Source: s, Name: at.Key, Version: at.Version, Size: at.Size, Modified: at.Modified, Hidden: at.Hidden}
				date, ok := dateIn(at.Key)
				if ok && !days.Has(date.day) {
					if to := days.seek(at.Key, date); to > at.Key {
						after, more = to, true
						break
					}
					continue
				}
				if o.Day = date.day; !yield(o, nil) {
					return
				}
			}
		}
	}
}

func (s *Source) listFiles(ctx context.Context, days Days) iter.Seq2[*Object, error] {
	return func(yield func(*Object, error) bool) {
		names, err := s.files()
		if err != nil {
			yield(nil, fmt.Errorf("logs %s: %w", s.text, err))
			return
		}
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			info, err := os.Stat(name)
			if err != nil {
				yield(nil, err)
				return
			}
			o := &Object{Source: s, Name: name, Version: info.ModTime().UTC().Format(time.RFC3339Nano), Size: info.Size(), Modified: info.ModTime()}
			if !info.Mode().IsRegular() { // a pipe
				o.Size = -1
			}
			if date, ok := dateIn(s.below(name)); ok {
				o.Day = date.day
			}
			if (o.Day == 0 || days.Has(o.Day)) && !yield(o, nil) {
				return
			}
		}
	}
}

// below returns the part of a file's name in which a date counts: not that of the directory that was given.
func (s *Source) below(name string) string {
	if rest, ok := strings.CutPrefix(name, strings.TrimSuffix(s.text, "/")+"/"); ok {
		return filepath.ToSlash(rest)
	}
	return filepath.Base(name)
}

// ErrNone says that a pattern matches no file.
var ErrNone = errors.New("no such file")

func (s *Source) files() (names []string, err error) {
	info, err := os.Stat(s.text)
	switch {
	case err == nil && info.IsDir():
		err = filepath.WalkDir(s.text, func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
				names = append(names, path)
			}
			return err
		})
		slices.Sort(names)
		return names, err
	case err == nil:
		return []string{s.text}, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if err := readable(s.text); err != nil {
		return nil, err
	}
	names, err = filepath.Glob(s.text)
	if err == nil && len(names) == 0 {
		err = ErrNone
	}
	return slices.DeleteFunc(names, isDir), err
}

// readable returns an error for a directory that a pattern matches and that may not be read: Glob passes over it, and its
// logs would be missing without a word.
func readable(pattern string) error {
	for strings.ContainsAny(pattern, `*?[`) {
		pattern = filepath.Dir(pattern)
		dirs, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, dir := range dirs {
			if !isDir(dir) {
				continue
			}
			f, err := os.Open(dir)
			if err != nil {
				return err
			}
			_ = f.Close() // only opened
		}
	}
	return nil
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// window is how much of the output a log compressed with Zstandard may refer back to: all levels up to 19 use at most
// this. As many logs as there are cores are read at once, so that more would not fit into memory.
const window = 8 << 20

// ErrDamaged says that a log is stored completely, and cannot be expanded to its end.
var ErrDamaged = errors.New("the log is damaged or cut off")

// Open opens a log, expanded if it is compressed; its first bytes decide, not its name. It returns the version and size
// that are being read, also with [ErrDamaged]. They are newer than those of the list when the log has grown since. Count, if not nil, is given
// the number of bytes as they are stored, as they are read. The context limits the reading, too.
func (o *Object) Open(ctx context.Context, count func(int)) (plain io.ReadCloser, as *Object, err error) {
	now := *o
	raw, err := o.raw(ctx, &now)
	if missing := new(fs.PathError); errors.As(err, &missing) && o.Source.bucket == nil {
		return nil, nil, err // it has the name
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open %s: %w", o, err)
	}
	in := &counted{in: raw, count: count}
	text, done, err := accesslog.Expand(in, window)
	if err != nil {
		_ = raw.Close() // only read
		return nil, &now, fmt.Errorf("open %s: %w", o, in.blame(err))
	}
	return &expanded{text, done, in, raw}, &now, nil
}

func (o *Object) raw(ctx context.Context, now *Object) (io.ReadCloser, error) {
	s := o.Source
	switch {
	case o.Hidden != "":
		return nil, fmt.Errorf("it cannot be read: %s: restore it, or select other days", o.Hidden)
	case s.bucket != nil:
		body, at, err := s.bucket.Get(ctx, o.Name, 0, -1)
		if err == nil {
			now.Version, now.Size = at.Version, at.Size
		}
		return body, err
	case s.stdin != nil:
		if s.opened.Swap(true) {
			return nil, errors.New("stdin can be read once: give - once")
		}
		return io.NopCloser(s.stdin), nil
	}
	file, err := os.Open(o.Name)
	if err != nil || o.Size < 0 {
		return file, err
	}
	// What a writer appends meanwhile is left for the next run: the size says what was read.
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(file, o.Size), file}, nil
}

type expanded struct {
	text io.Reader
	done func()
	in   *counted
	raw  io.Closer
}

// Read implements [io.Reader]. The error wraps [ErrDamaged] when the bytes could be read, and not be expanded.
func (e *expanded) Read(p []byte) (int, error) {
	n, err := e.text.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = e.in.blame(err)
	}
	return n, err
}

// Close implements [io.Closer].
func (e *expanded) Close() error {
	e.done()
	return e.raw.Close()
}

// counted counts bytes, and remembers whether they could be read.
type counted struct {
	in     io.Reader
	count  func(int)
	failed error
}

// Read implements [io.Reader].
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	if c.count != nil {
		c.count(n)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		c.failed = err
	}
	return n, err
}

// blame says whether an error is the fault of the log.
func (c *counted) blame(err error) error {
	switch {
	case c.failed != nil:
		return err
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return fmt.Errorf("%w: compressed with a window of more than %d MiB: compress it without --long or --ultra", err, window>>20)
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}
