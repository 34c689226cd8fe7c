package proxy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"ociproxy/internal/config"
)

// settle is how long files must be unchanged before the proxy reads them: a ConfigMap swap or an editor's save is
// several events.
const settle = 200 * time.Millisecond

// recheck is how often the proxy compares files without any event: events can be lost, and some file systems send
// none.
const recheck = 15 * time.Second

// together is how long files may take until they fit: a certificate and its key, or a configuration and a file that it
// names, are written one after the other, sometimes by two different jobs.
const together = 10 * time.Second

// watch reloads on a value from signal, and when a watched file's content differs from what was last loaded, until
// ctx is done. A signal means that everything is written; only a file change gets time to be completed.
func (s *Server) watch(ctx context.Context, signal <-chan struct{}) error {
	events, faults, follow, stop := s.events()
	defer stop()
	var unfit error // why the files do not fit, until they fit or the time limit is over
	late := time.NewTimer(s.together)
	late.Stop()
	quiet := time.NewTimer(settle) // also for changes before the watch began
	defer quiet.Stop()
	waiting := true
	tick := time.NewTicker(recheck)
	defer tick.Stop()
	dates := time.NewTimer(s.untilDate())
	defer dates.Stop()
	reload := func(wait bool) {
		s.opt.Supervisor.Reloading()
		defer func() { s.opt.Supervisor.Reloaded(s.status()) }()
		err := s.reload()
		follow()
		var m misfit
		switch {
		case wait && errors.As(err, &m):
			if unfit == nil {
				late.Reset(s.together)
				s.log.Info("changed files do not fit yet, the old ones stay in use while others may come", "for", s.together.String(), "error", err.Error())
			}
			unfit = err
			return
		case err != nil:
			s.refused(err)
		}
		late.Stop()
		unfit = nil
		dates.Reset(s.untilDate())
	}
	compare := func() {
		if s.watched() && s.fileState(s.files(), "") != s.seen {
			reload(true)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-signal:
			if !ok {
				signal = nil
				continue
			}
			s.source.ask(ctx)
			reload(false)
		case <-s.source.news():
			if s.source.fresh() {
				reload(true)
			}
		case _, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			if !waiting { // a busy neighbour in the directory must not delay it forever
				waiting = true
				quiet.Reset(settle)
			}
		case err := <-faults: // the queue overflowed: something happened
			s.log.Warn("watching files", "error", err)
			compare()
		case <-quiet.C:
			waiting = false
			compare()
		case <-tick.C:
			compare()
		case <-dates.C:
			s.follow()
			dates.Reset(s.untilDate())
		case <-s.changed:
			s.follow()
			dates.Reset(s.untilDate())
		case <-late.C:
			if compare(); unfit != nil { // changes without an event do not fit either
				s.refused(unfit)
				unfit = nil
			}
		}
	}
}

// events watches the directories of all files, because replacing a file by rename changes its directory: Kubernetes
// swaps ConfigMaps by symlink. Call follow when there may be other files.
func (s *Server) events() (events <-chan fsnotify.Event, faults <-chan error, follow, stop func()) {
	if !s.watched() {
		return nil, nil, func() {}, func() {}
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		s.log.Warn("file changes are noticed late", "every", recheck.String(), "error", err.Error())
		return nil, nil, func() {}, func() {}
	}
	follow = func() {
		for _, f := range s.files() {
			if err := watcher.Add(filepath.Dir(f)); err != nil {
				s.log.Warn("changes of a file are noticed late", "every", recheck.String(), "file", f, "error", err.Error())
			}
		}
	}
	follow()
	return watcher.Events, watcher.Errors, follow, func() { _ = watcher.Close() }
}

// watched reports whether the configuration can change.
func (s *Server) watched() bool { return s.opt.File != "" || s.opt.Publication != nil }

// files returns what a reload reads: the files of the configuration in use and of the last one that was tried.
func (s *Server) files() []string {
	files := s.source.files()
	cfgs := []*config.Config{s.tried}
	if w := s.wiring.Load(); w != nil {
		cfgs = append(cfgs, w.cfg)
	}
	for _, cfg := range cfgs {
		if cfg == nil {
			continue
		}
		for _, f := range []string{cfg.TLS.Cert, cfg.TLS.Key, cfg.Route.Latency, cfg.Endpoints.Signed} {
			if f != "" && !slices.Contains(files, f) {
				files = append(files, f)
			}
		}
	}
	return files
}

// fileState returns a digest of the names and contents of all files. A file that cannot be read counts as empty, and
// the reload that follows reports it. hash is the config file's hash, if it was already read.
func (s *Server) fileState(files []string, hash string) [sha256.Size]byte {
	h := sha256.New()
	for _, f := range files {
		sum := hash
		if sum == "" || !slices.Contains(s.source.files(), f) {
			data, _ := os.ReadFile(f)
			b := sha256.Sum256(data)
			sum = hex.EncodeToString(b[:])
		}
		h.Write([]byte(f + " " + sum + "\n"))
	}
	return [sha256.Size]byte(h.Sum(nil))
}
