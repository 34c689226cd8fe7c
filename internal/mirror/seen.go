package mirror

import (
	"sync"
	"time"

	"ociproxy/internal/walk"
)

// Seen remembers when this process first saw manifests that are not complete yet, for sources that do not report
// their age. The zero value is ready; nil remembers nothing. Consecutive passes may share it.
type Seen struct {
	mu    sync.Mutex
	first map[walk.Key]time.Time
}

// maxSeen bounds the memory; what is beyond counts as just seen.
const maxSeen = 200_000

// at is since when a manifest is there.
func (s *Seen) at(n *walk.Node, now time.Time) time.Time {
	if !n.At.IsZero() || s == nil {
		if n.At.IsZero() {
			return now
		}
		return n.At
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := walk.KeyOf(n.Digest)
	if at, ok := s.first[k]; ok {
		return at
	}
	if s.first == nil {
		s.first = map[walk.Key]time.Time{}
	}
	if len(s.first) < maxSeen {
		s.first[k] = now
	}
	return now
}

func (s *Seen) forget(n *walk.Node) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.first, walk.KeyOf(n.Digest))
}
