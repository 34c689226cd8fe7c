package rollup

import (
	"cmp"
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

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/store"
	"ociproxy/internal/traffic"
)

// Options of [Read], [ReadObjects] and [Infos]. The zero value reads everything.
type Options struct {
	// Begin and End select the rows: the first day, and the day after the last one. 0: no limit. For objects they
	// select whole months. Of files with a day in their name only those of Begin's day before to End's day after are
	// opened: log objects may have requests of the day before, and come a day late.
	Begin, End traffic.Day
	// From, if not "", selects the objects that were counted from this source: a request is in the proxy's log and in
	// the log of the store.
	From traffic.Source
	// Store is how a bucket is opened.
	Store store.Options
	// Dir is the directory for copies of a bucket's files while they are read; "": that for temporary files.
	Dir string
}

// Info is one file.
type Info struct {
	Name string // as errors name it
	Rows int64
	Size int64 // in bytes
	Meta
}

// slack is how many days before and after a log object's day its requests may be. S3 delivers most logs within hours,
// and CloudFront up to 24 hours late.
const slack = 2

// Read returns the rows of the roll-ups in a place: a directory, a file, a pattern of file names, or the URL of a
// bucket and prefix. Rows of several files may have the same key: add them up. A file that is no roll-up ends the
// reading with an error, which names it. The pointer is valid until the next row.
func Read(ctx context.Context, from string, opt Options) iter.Seq2[*traffic.Row, error] {
	return func(yield func(*traffic.Row, error) bool) {
		var texts interned
		eachFile(ctx, from, Rows, opt, func(err error) { yield(nil, err) }, func(f *one) (bool, error) {
			o, err := open[fileRow](f.in, f.size, Rows)
			if err != nil {
				return false, err
			}
			for row, err := range rowsOf[fileRow](o) {
				if err == nil {
					err = row.check()
				}
				if err != nil {
					return false, err
				}
				if day := traffic.Day(row.Day); day < opt.Begin || opt.End > 0 && day >= opt.End {
					continue
				}
				r := row.row()
				texts.row(&r)
				if !yield(&r, nil) || ctx.Err() != nil {
					return false, ctx.Err()
				}
			}
			return true, nil
		})
	}
}

// ReadObjects returns the objects of the roll-ups in a place, as [Read] does. The row of all digests that were not
// among the first of a file has the digest "".
func ReadObjects(ctx context.Context, from string, opt Options) iter.Seq2[*traffic.Object, error] {
	return func(yield func(*traffic.Object, error) bool) {
		var texts interned
		eachFile(ctx, from, Objects, opt, func(err error) { yield(nil, err) }, func(f *one) (bool, error) {
			o, err := open[fileObject](f.in, f.size, Objects)
			if err != nil {
				return false, err
			}
			if opt.From != "" && !slices.Contains(o.meta.From, opt.From) {
				return true, nil
			}
			for row, err := range rowsOf[fileObject](o) {
				if err == nil {
					err = row.check()
				}
				if err != nil {
					return false, err
				}
				if month := traffic.Day(row.Month); month < monthOf(max(opt.Begin, 0)) || opt.End > 0 && month >= opt.End {
					continue
				}
				r := row.object()
				r.Client.Cloud, r.Client.Region = texts.of(r.Client.Cloud), texts.of(r.Client.Region)
				if !yield(&r, nil) || ctx.Err() != nil {
					return false, ctx.Err()
				}
			}
			return true, nil
		})
	}
}

// Infos describes the files of rows that [Read] reads.
func Infos(ctx context.Context, from string, opt Options) (all []Info, err error) {
	eachFile(ctx, from, Rows, opt, func(e error) { err = e }, func(f *one) (bool, error) {
		o, err := open[fileRow](f.in, f.size, Rows)
		if err == nil {
			all = append(all, Info{f.name, o.file.NumRows(), f.size, *o.meta})
		}
		return true, err
	})
	return all, err
}

// ErrNone says that a place has no roll-ups.
var ErrNone = errors.New("there are no roll-ups")

// one is one file to read.
type one struct {
	name string
	in   io.ReaderAt
	size int64
}

// eachFile opens the files of a kind in a place, one after the other, until each returns false or an error. fail gets
// the error.
func eachFile(ctx context.Context, from string, kind Kind, opt Options, fail func(error), each func(*one) (more bool, err error)) {
	found, err := listing(ctx, from, kind, opt)
	if err != nil {
		fail(err)
		return
	}
	if len(found) == 0 {
		fail(fmt.Errorf("read %s: %w: `oci-proxyctl report rollup` makes them", from, ErrNone))
		return
	}
	for _, f := range found {
		if !within(f.name, opt) {
			continue
		}
		more, err := f.visit(ctx, opt.Dir, each)
		if err != nil {
			fail(fmt.Errorf("read %s: %w", f.name, err))
		}
		if err != nil || !more {
			return
		}
	}
}

// within reports whether a file may have rows of the days that opt selects, by the day in its name.
func within(name string, opt Options) bool {
	_, rest, ok := strings.Cut(filepath.ToSlash(name), dayPart)
	if !ok {
		return true
	}
	text, _, _ := strings.Cut(rest, "/")
	day, err := ParseDay(text)
	if err != nil {
		return true
	}
	return day+slack >= opt.Begin && (opt.End == 0 || day-slack < opt.End)
}

// place is a file, or an object of a bucket.
type found struct {
	name   string
	size   int64
	bucket store.Bucket // nil: a file
	key    string
}

func listing(ctx context.Context, from string, kind Kind, opt Options) ([]found, error) {
	if strings.Contains(from, "://") {
		b, err := store.Open(ctx, from, opt.Store)
		if err != nil {
			return nil, err
		}
		var all []found
		for at, err := range b.List(ctx, string(kind)+"/", "") {
			if err != nil {
				return nil, err
			}
			if strings.HasSuffix(at.Key, Suffix) {
				all = append(all, found{b.String() + "/" + at.Key, at.Size, b, at.Key})
			}
		}
		return all, nil
	}
	names := []string{from}
	if info, err := os.Stat(from); err == nil && info.IsDir() {
		names = nil
		err := filepath.WalkDir(filepath.Join(from, string(kind)), func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() && strings.HasSuffix(path, Suffix) && !strings.HasPrefix(e.Name(), ".") {
				names = append(names, path)
			}
			return err
		})
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	} else if err != nil {
		matches, bad := filepath.Glob(from)
		if bad != nil || len(matches) == 0 {
			return nil, cmp.Or(bad, err)
		}
		names = matches
	}
	slices.Sort(names)
	var all []found
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		all = append(all, found{name: name, size: info.Size()})
	}
	return all, nil
}

// visit opens the file, calls each, and closes it.
func (f *found) visit(ctx context.Context, dir string, each func(*one) (bool, error)) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if f.bucket == nil {
		file, err := os.Open(f.name)
		if err != nil {
			return false, err
		}
		defer file.Close()
		return each(&one{f.name, file, f.size})
	}
	if f.size > MaxFile {
		return false, fmt.Errorf("it has %d bytes, at most %d are read", f.size, int64(MaxFile))
	}
	copied, size, err := download(ctx, f.bucket, f.key, dir)
	if err != nil {
		return false, err
	}
	defer atomicfile.CloseScratch(copied)
	return each(&one{f.name, copied, size})
}

// download copies an object into a file without a name: readers of Parquet read here and there, and a request for each
// piece would take longer than the whole.
func download(ctx context.Context, b store.Bucket, key, dir string) (*os.File, int64, error) {
	body, _, err := b.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, 0, err
	}
	defer body.Close()
	file, err := atomicfile.Scratch(dir, "rollup")
	if err != nil {
		return nil, 0, err
	}
	size, err := io.Copy(file, io.LimitReader(body, MaxFile+1))
	if err == nil && size > MaxFile {
		err = fmt.Errorf("it has more than %d bytes", int64(MaxFile))
	}
	if err != nil {
		atomicfile.CloseScratch(file)
		return nil, 0, err
	}
	return file, size, nil
}

// interned gives equal texts one memory: millions of rows have a few hundred different ones.
type interned map[string]string

// maxInterned bounds the memory for texts that are all different.
const maxInterned = 100_000

func (in *interned) of(text string) string {
	if one, ok := (*in)[text]; ok {
		return one
	}
	if *in == nil || len(*in) >= maxInterned {
		*in = interned{}
	}
	text = strings.Clone(text)
	(*in)[text] = text
	return text
}

func (in *interned) row(r *traffic.Row) {
	k := &r.Key
	k.Client.Cloud, k.Client.Region, k.Store = in.of(k.Client.Cloud), in.of(k.Client.Region), in.of(k.Store)
	k.Class, k.Operation, k.Source = traffic.Class(in.of(string(k.Class))), traffic.Operation(in.of(string(k.Operation))), traffic.Source(in.of(string(k.Source)))
	k.Reason, k.Repository = in.of(k.Reason), in.of(k.Repository)
}
