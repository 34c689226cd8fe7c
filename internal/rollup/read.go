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
	"runtime"
	"slices"
	"strings"
	"sync"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/store"
	"ociproxy/internal/traffic"
)

// Options of [Read], [ReadObjects] and [Infos]. The zero value reads everything.
type Options struct {
	// Begin and End select the rows: the first day, and the day after the last one. 0: no limit. For objects they
	// select whole months. Files whose name has a day more than [Slack] days away are not opened.
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

// Slack is how many days before and after the day in a file's name its requests may be. Most providers deliver logs
// within a day. Other logs may have a file for each month, named by its first or last day.
const Slack = 35

// Read returns the rows of the roll-ups in a place: a directory, a file, a pattern of file names, or the URL of a
// bucket and prefix. Rows of several files may have the same key: add them up. A file that is no roll-up ends the
// reading with an error, which names it. The pointer is valid until the next row.
func Read(ctx context.Context, from string, opt Options) iter.Seq2[*traffic.Row, error] {
	spare := make(chan []traffic.Row, ahead)
	get := func() []traffic.Row {
		select {
		case batch := <-spare:
			return batch[:batchRows]
		default:
			return make([]traffic.Row, batchRows)
		}
	}
	done := func(batch []traffic.Row) {
		select {
		case spare <- batch:
		default:
		}
	}
	return eachFile(ctx, from, Rows, opt, done, func(f *oneFile, give func([]traffic.Row) bool) error {
		o, err := open[fileRow](f.in, f.size, Rows)
		if err != nil {
			return err
		}
		return decodeRows(o, &opt, get, give)
	})
}

// ReadObjects returns the objects of the roll-ups in a place, as [Read] does. Roll-ups without any are no error. The row
// of all digests that were not among the first of a file has the digest "".
func ReadObjects(ctx context.Context, from string, opt Options) iter.Seq2[*traffic.Object, error] {
	return eachFile(ctx, from, Objects, opt, nil, func(f *oneFile, give func([]traffic.Object) bool) error {
		o, err := open[fileObject](f.in, f.size, Objects)
		if errors.Is(err, errKind) || err == nil && opt.From != "" && !slices.Contains(o.meta.From, opt.From) {
			return nil // a file of rows that was named, or that fits a pattern
		}
		if err != nil {
			return err
		}
		return decodeObjects(o, &opt, give)
	})
}

// Infos describes the files of rows that [Read] reads.
func Infos(ctx context.Context, from string, opt Options) (all []Info, err error) {
	for info, err := range eachFile(ctx, from, Rows, opt, nil, func(f *oneFile, give func([]Info) bool) error {
		o, err := open[fileRow](f.in, f.size, Rows)
		if err == nil {
			give([]Info{{f.name, o.file.NumRows(), f.size, *o.meta}})
		}
		return err
	}) {
		if err != nil {
			return nil, err
		}
		all = append(all, *info)
	}
	return all, nil
}

// ErrNone says that a place has no roll-ups.
var ErrNone = errors.New("there are no roll-ups")

// oneFile is one file to read.
type oneFile struct {
	name string
	in   io.ReaderAt
	size int64
}

// eachFile returns what decode gives of the files of a kind in a place, in their order. Files are fetched and decoded at
// once, a few ahead of the reader. done, if not nil, gets each batch back once it was read.
func eachFile[T any](ctx context.Context, from string, kind Kind, opt Options, done func([]T), decode func(f *oneFile, give func([]T) bool) error) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		found, err := listing(ctx, from, kind, opt)
		if err == nil && len(found) == 0 {
			err = none(ctx, from, kind, opt)
		}
		if err != nil {
			yield(nil, err)
			return
		}
		found = slices.DeleteFunc(found, func(f location) bool { return !within(f.name, opt) })
		ctx, cancel := context.WithCancel(ctx)
		var workers sync.WaitGroup
		defer workers.Wait()
		defer cancel()
		files := make(chan *decoding[T], ahead)
		workers.Go(func() {
			defer close(files)
			decoders := make(chan struct{}, runtime.GOMAXPROCS(0))
			before := make(chan struct{}) // closed when the file before may be decoded: the first file must never wait for later ones
			close(before)
			for _, f := range found {
				one, turn := &decoding[T]{file: f, batches: make(chan []T, 2)}, make(chan struct{})
				select {
				case files <- one:
				case <-ctx.Done():
					return
				}
				after := before
				workers.Go(func() { one.run(ctx, opt.Dir, decoders, after, turn, decode) })
				before = turn
			}
		})
		for one := range files {
			for batch := range one.batches {
				for i := range batch {
					if !yield(&batch[i], nil) {
						return
					}
				}
				if done != nil {
					done(batch)
				}
			}
			if one.err != nil {
				yield(nil, fmt.Errorf("read %s: %w", one.file.name, one.err))
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(nil, err)
		}
	}
}

// none returns the error for a place without files of a kind. Roll-ups need not have objects.
func none(ctx context.Context, from string, kind Kind, opt Options) error {
	if kind != Rows {
		if rows, err := listing(ctx, from, Rows, opt); err != nil || len(rows) > 0 {
			return err
		}
	}
	return fmt.Errorf("read %s: %w: `oci-proxyctl report rollup` makes them", from, ErrNone)
}

// decoding is a file that is fetched and decoded.
type decoding[T any] struct {
	file    location
	batches chan []T // closed at the end
	err     error    // why it ended; to be read after that
}

// run fetches the file, waits for its turn and a place among the decoders, and decodes it. It closes turn as soon as the
// next file may take a place.
func (d *decoding[T]) run(ctx context.Context, dir string, decoders chan struct{}, before <-chan struct{}, turn chan<- struct{}, decode func(*oneFile, func([]T) bool) error) {
	defer close(d.batches)
	got := d.file.fetch(ctx, dir)
	defer got.close()
	<-before
	if got.err == nil {
		select {
		case decoders <- struct{}{}:
			defer func() { <-decoders }()
		case <-ctx.Done():
			got.err = ctx.Err()
		}
	}
	close(turn)
	if d.err = got.err; d.err != nil {
		return
	}
	d.err = decode(&oneFile{d.file.name, got.file, got.size}, func(batch []T) bool {
		select {
		case d.batches <- batch:
			return true
		case <-ctx.Done():
			return false
		}
	})
	d.err = cmp.Or(d.err, ctx.Err())
}

// ahead is how many files are fetched before they are read: many are small, and far away.
const ahead = 8

// fetched is an open file, or why there is none.
type fetched struct {
	file  *os.File
	size  int64
	close func()
	err   error
}

// within reports whether a file may have rows of the days that opt selects, by the day in its name.
func within(name string, opt Options) bool {
	_, rest, ok := strings.Cut(filepath.ToSlash(name), dayPart)
	if !ok {
		return true
	}
	text, _, _ := strings.Cut(rest, "/")
	day, err := traffic.ParseDay(text)
	if err != nil {
		return true
	}
	return day+Slack >= opt.Begin && (opt.End == 0 || day-Slack < opt.End)
}

// location is a file, or an object of a bucket.
type location struct {
	name   string
	size   int64
	bucket store.Bucket // nil: a file
	key    string
}

func listing(ctx context.Context, from string, kind Kind, opt Options) ([]location, error) {
	if strings.Contains(from, "://") {
		b, err := store.Open(ctx, from, opt.Store)
		if err != nil {
			return nil, err
		}
		var all []location
		for at, err := range b.List(ctx, string(kind)+"/", "") {
			if err != nil {
				return nil, err
			}
			if strings.HasSuffix(at.Key, Suffix) {
				all = append(all, location{b.String() + "/" + at.Key, at.Size, b, at.Key})
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
	var all []location
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		all = append(all, location{name: name, size: info.Size()})
	}
	return all, nil
}

// fetch opens the file. Of an object it makes a copy.
func (f *location) fetch(ctx context.Context, dir string) fetched {
	got := fetched{size: f.size, close: func() {}, err: ctx.Err()}
	if got.err != nil {
		return got
	}
	if f.bucket == nil {
		if got.file, got.err = os.Open(f.name); got.err == nil {
			got.close = func() { _ = got.file.Close() } // only read
		}
		return got
	}
	if f.size > MaxFile {
		got.err = fmt.Errorf("it has %d bytes, at most %d are read", f.size, int64(MaxFile))
		return got
	}
	if got.file, got.size, got.err = download(ctx, f.bucket, f.key, dir); got.err == nil {
		got.close = func() { atomicfile.CloseScratch(got.file) }
	}
	return got
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

func (in *interned) row(r *traffic.Row) {
	k := &r.Key
	k.Client.Cloud, k.Client.Region, k.Store = in.of(k.Client.Cloud), in.of(k.Client.Region), in.of(k.Store)
	k.Class, k.Operation, k.Source = traffic.Class(in.of(string(k.Class))), traffic.Operation(in.of(string(k.Operation))), traffic.Source(in.of(string(k.Source)))
	k.Reason, k.Repository = in.of(k.Reason), in.of(k.Repository)
}
