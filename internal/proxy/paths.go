package proxy

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/config"
)

// savePathsEvery is how often the proxy saves what it learned about client addresses.
const savePathsEvery = 5 * time.Minute

// pathsFile returns the file for that; "" if there is no disk.
func pathsFile(cfg *config.Config) string {
	if cfg.Ranges.Cache == "" {
		return ""
	}
	return filepath.Join(cfg.Ranges.Cache, "client-paths")
}

// loadPaths loads what an earlier process learned. A damaged file loses only that.
func (s *Server) loadPaths(file string) {
	if file == "" {
		return
	}
	f, err := os.Open(file)
	if err == nil {
		defer f.Close()
		err = s.reach.Load(f)
		s.keepPaths(s.wiring.Load())
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("what was learnt of client addresses is not used", "file", file, "error", err.Error())
	}
}

// keepPaths forgets what the proxy learned about candidates that w does not have.
func (s *Server) keepPaths(w *wiring) {
	var origins []string
	for i := range w.snapshot.Candidates {
		origins = append(origins, w.snapshot.Candidates[i].Origin)
	}
	s.reach.Keep(origins)
}

// savePaths saves it every savePathsEvery, and at the end.
func (s *Server) savePaths(ctx context.Context, file string) {
	if file == "" {
		return
	}
	tick := time.NewTicker(savePathsEvery)
	defer tick.Stop()
	for end := false; !end; {
		select {
		case <-ctx.Done():
			end = true
		case <-tick.C:
		}
		var b bytes.Buffer
		_ = s.reach.Save(&b) // a buffer accepts everything
		if err := atomicfile.Write(file, b.Bytes(), 0o600); err != nil {
			s.log.Warn("what was learnt of client addresses is not saved", "file", file, "error", err.Error())
		}
	}
}
