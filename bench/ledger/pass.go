package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"ociproxy/bench/figures"
	"ociproxy/bench/process"
	"ociproxy/internal/ledger"
	"ociproxy/internal/store"
)

// counted is a bucket that counts Get requests. A ledger that only answers questions makes no others.
type counted struct {
	store.Bucket
	n *atomic.Int64
}

func (c counted) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, store.Attrs, error) {
	c.n.Add(1)
	return c.Bucket.Get(ctx, key, off, n)
}

// pass is the child process. It reads the inventories below a directory, looks up every blob of the source, and writes
// the figures as JSON. args: directory, name of the figures.
func pass(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("pass: it is started by the benchmark itself")
	}
	dir, name := args[0], args[1]
	var requests atomic.Int64
	var list []ledger.Store
	for i := range stores {
		b, err := openStore(ctx, dir, i)
		if err != nil {
			return err
		}
		list = append(list, ledger.Store{Name: storeName(i), Bucket: counted{b, &requests}})
	}
	begin := time.Now()
	l, err := ledger.Open(ctx, list, ledger.Options{Dir: filepath.Join(dir, "cache")})
	if err != nil {
		return err
	}
	opened := time.Since(begin)
	copies := 0
	for i := range blobs {
		lacking := l.Lacking(digest(i))
		lacking.Each(func(int) { copies++ })
	}
	took := time.Since(begin)
	if err := expect(l, copies); err != nil {
		return err
	}
	f := []figures.Figure{
		{Name: name + ".seconds", Value: took.Seconds(), Unit: "s"},
		{Name: name + ".open_seconds", Value: opened.Seconds(), Unit: "s"},
		{Name: name + ".requests", Value: float64(requests.Load()), Unit: "requests"},
	}
	for _, m := range [...]struct{ figure, field string }{{".peak_mib", "VmHWM"}, {".anonymous_mib", "RssAnon"}} {
		size, err := process.Memory(os.Getpid(), m.field)
		if err != nil {
			return err
		}
		f = append(f, figures.Figure{Name: name + m.figure, Value: size, Unit: "MiB"})
	}
	if err := l.Close(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(f)
}

// expect checks that the answer is right.
func expect(l *ledger.Ledger, copies int) error {
	want := 0
	for i := range blobs {
		if everybody(i) {
			continue
		}
		for s := range stores {
			if !lucky(i, s) {
				want++
			}
		}
	}
	for i := range stores {
		if err := l.Fault(i); err != nil {
			return err
		}
	}
	if copies != want {
		return fmt.Errorf("%d copies are lacking, want %d", copies, want)
	}
	return nil
}
