package proxy

import (
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long files must be quiet before they are read: a ConfigMap swap or an editor's save is
// several events.
const settle = 200 * time.Millisecond

// watch reloads on a value from signal and when a watched file's content changes, until ctx is done.
func (s *Server) watch(ctx context.Context, signal <-chan struct{}) error {
	var events <-chan fsnotify.Event
	seen := s.fileState()
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		s.log.Warn("files are not watched, SIGHUP still reloads", "error", err.Error())
	} else {
		defer func() { _ = watcher.Close() }()
		events = watcher.Events
		s.watchDirs(watcher)
	}
	quiet := time.NewTimer(settle)
	quiet.Stop()
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-signal:
			if !ok {
				signal = nil
				continue
			}
			s.reload()
			seen = s.fileState()
			s.watchDirs(watcher)
		case _, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			quiet.Reset(settle)
		case <-quiet.C:
			if now := s.fileState(); now != seen {
				seen = now
				s.reload()
				s.watchDirs(watcher)
			}
		}
	}
}

// watchDirs watches the directories of all files: a file that is replaced by rename, as Kubernetes swaps
// ConfigMaps by symlink, is a change of its directory.
func (s *Server) watchDirs(watcher *fsnotify.Watcher) {
	if watcher == nil {
		return
	}
	for _, f := range s.files() {
		if err := watcher.Add(filepath.Dir(f)); err != nil {
			s.log.Warn("file is not watched, SIGHUP still reloads", "file", f, "error", err.Error())
		}
	}
}

// files are what a reload reads.
func (s *Server) files() []string {
	if s.opt.File == "" {
		return nil
	}
	cfg := s.world.Load().cfg
	files := []string{s.opt.File}
	if cfg.TLS.Enabled() {
		files = append(files, cfg.TLS.Cert, cfg.TLS.Key)
	}
	if cfg.Route.Latency != "" {
		files = append(files, cfg.Route.Latency)
	}
	return files
}

// fileState is a digest of all their contents; a file that cannot be read counts as empty, and the reload
// that follows reports it.
func (s *Server) fileState() [sha256.Size]byte {
	h := sha256.New()
	for _, f := range s.files() {
		data, _ := os.ReadFile(f)
		sum := sha256.Sum256(data)
		h.Write(sum[:])
	}
	return [sha256.Size]byte(h.Sum(nil))
}
