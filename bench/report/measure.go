package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"ociproxy/bench/process"
	"ociproxy/internal/accesslog"
	"ociproxy/internal/config"
	"ociproxy/internal/ranges"
	"ociproxy/internal/usage"
)

// measure reads a log on one core, and prints the CPU time that it took. gunzip is the part of it that expands the file.
func measure(ctx context.Context, step, file string) error {
	runtime.GOMAXPROCS(1)
	count, err := counter(step)
	if err != nil {
		return err
	}
	runtime.GC()
	begin, err := used()
	if err != nil {
		return err
	}
	var r accesslog.Reader
	lines := 0
	err = r.ReadFile(ctx, file, nil, func(rec *accesslog.Record) error {
		lines++
		return count(rec)
	})
	if err != nil {
		return err
	}
	if s := r.Stats(); s.Malformed > 0 {
		return fmt.Errorf("%d lines are malformed, the first: %s", s.Malformed, s.Faults[0])
	}
	read, err := used()
	if err != nil {
		return err
	}
	peak, err := peak()
	if err != nil {
		return err
	}
	if err := gunzip(file); err != nil {
		return err
	}
	expanded, err := used()
	if err != nil {
		return err
	}
	fmt.Printf("lines %d\ncpu %f\ngunzip %f\npeak %f\n", lines, (read - begin).Seconds(), (expanded - read).Seconds(), peak)
	return nil
}

// counter returns what is done with each record.
func counter(step string) (func(*accesslog.Record) error, error) {
	if step == "parse" {
		return func(*accesslog.Record) error { return nil }, nil
	}
	cfg, err := config.Load(filepath.Join("examples", "kubernetes.yaml"))
	if err != nil {
		return nil, err
	}
	at := func(name string) string { return filepath.Join("..", "shared", "data", "ranges", name) }
	where, err := ranges.New(config.Ranges{Refresh: time.Hour, Feeds: []config.Feed{
		{Provider: config.AWS, File: at("aws-ip-ranges.json")},
		{Provider: config.GCP, File: at("gcp-cloud.json")},
		{Provider: config.Azure, File: at("azure-servicetags.json")},
	}}, cfg.Map(), ranges.Options{})
	if err != nil {
		return nil, err
	}
	for _, f := range where.Status() {
		if f.LastError != "" {
			return nil, fmt.Errorf("%s: %s", f.Name, f.LastError)
		}
	}
	cfg.Stores = append(cfg.Stores,
		config.Store{Name: "gcs", URL: "https://storage.googleapis.com/layers-gcs/containers/images/{digest}"},
		config.Store{Name: "azure", URL: "https://layersazure.blob.core.windows.net/images/containers/images/{digest}"})
	c, err := usage.New(cfg, where, usage.Options{})
	if err != nil {
		return nil, err
	}
	left := &usage.Left{}
	return func(rec *accesslog.Record) error {
		if _, ok := c.Count(rec, left); !ok {
			return fmt.Errorf("%s:%d counts for nothing: %v", rec.File, rec.Line, left.List()[0])
		}
		return nil
	}, nil
}

func gunzip(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	z, err := gzip.NewReader(f)
	if err == nil {
		_, err = io.Copy(io.Discard, z)
	}
	return errors.Join(err, f.Close())
}

// used returns the CPU time of this process.
func used() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, err
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// peak returns the most memory that this process had, in MiB. ru_maxrss would also have that of the process that began
// it: it survives exec.
func peak() (float64, error) { return process.Memory(os.Getpid(), "VmHWM") }
