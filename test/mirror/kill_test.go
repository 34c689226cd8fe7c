package mirror

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ociproxy/test/ctl"
	"ociproxy/test/gate"
	"ociproxy/test/parts"
	"ociproxy/test/shop"
	"ociproxy/test/source"
)

// TestKill kills the mirror a few times; TestSlowKill fifty times.
func TestKill(t *testing.T) {
	t.Parallel()
	killing(t, 6)
}

// TestSlowKill kills the mirror at random moments. At the end one pass completes everything, and no pass has read bytes
// twice without cause.
func TestSlowKill(t *testing.T) {
	parts.Slow(t)
	t.Parallel()
	killing(t, 50)
}

func killing(t *testing.T, kills int) {
	s := newScene(t, source.Shape{Images: 40, Repos: 4, Seed: 5, Smallest: 8 << 10, Largest: 600 << 10, Big: []int64{17 << 20, 9 << 20, 5 << 20}})
	w := s.world(t, nil)
	// Slow enough that the mirror does not finish before the last kill.
	w.front.Spoil(func(r *http.Request) (gate.Fault, bool) {
		return gate.Fault{Pace: 10 << 20 / int64(kills), After: -1}, strings.Contains(r.URL.Path, "/blobs/")
	})
	unique := s.source.Unique()
	total, twice := map[string]int64{}, int64(0)
	settled := map[string]bool{} // blobs that were durable in all stores when a process was killed
	ended := 0
	for i := range kills {
		r := w.startMirror(t)
		// Kill it at a moment between before the first request and well into the copying.
		<-time.After(time.Duration(20+rand.IntN(1000)) * time.Millisecond)
		r.Signal(syscall.SIGKILL) // it may have ended
		if e := r.Wait(t, time.Minute); e.Code >= 0 {
			ended++
		}
		w.front.Quiet(t)
		got := map[string]int64{}
		for _, e := range w.front.Take() {
			_, digest, ok := strings.Cut(e.Path, "/blobs/")
			if !ok || e.Method != http.MethodGet || e.Status >= 300 {
				continue
			}
			if got[digest] > 0 && e.Range == "" {
				t.Errorf("run %d read %s twice from its start", i, digest)
			}
			if settled[digest] {
				t.Errorf("run %d read %s, which all stores had", i, digest)
			}
			got[digest] += e.Sent
		}
		for digest, n := range got {
			total[digest] += n
		}
		for digest := range s.source.Blobs {
			settled[digest] = !slices.ContainsFunc(w.shops, func(s *shop.Shop) bool { return !s.Holds(digest) })
		}
	}
	w.front.Spoil(nil)
	last := w.mirror(t)
	if last.Code != 0 {
		t.Fatalf("mirror: %v", last)
	}
	read, _ := w.reads()
	for digest, n := range read {
		total[digest] += n
	}
	large := int64(0)
	for digest, n := range total {
		again := max(0, n-s.source.Blobs[digest])
		twice += again
		if s.source.Blobs[digest] > 1<<20 {
			large += again
			// The blob is in a spool file, where the next run continues. It reads only the bytes again that had not
			// reached the file.
			if limit := int64(kills) * 256 << 10; again > limit {
				t.Errorf("of %s, which has %d bytes, %d were read again, want at most %d", digest, s.source.Blobs[digest], again, limit)
			}
		}
	}
	for digest := range read {
		if settled[digest] {
			t.Errorf("the last run read %s, which all stores had", digest)
		}
	}
	t.Logf("%d kills, %d passes ended before; unique %d bytes, read %d, of them again %d (%.1f KiB a kill), of large blobs %d", kills, ended, unique,
		sum(total), twice, float64(twice)/1024/float64(kills), large)
	w.whole(t)
	if again := w.mirror(t); again.Code != 0 {
		t.Errorf("mirror: %v", again)
	}
	if read, _ := w.reads(); len(read) > 0 {
		t.Errorf("a pass with nothing to do read %d blobs", len(read))
	}
}

// TestTwoWriters: two mirrors run at the same time over the same stores. Together they copy everything and damage
// nothing.
func TestTwoWriters(t *testing.T) {
	t.Parallel()
	s := newScene(t, source.Shape{Images: 30, Repos: 4, Seed: 6, Smallest: 8 << 10, Largest: 300 << 10, Big: []int64{17 << 20}})
	w := s.world(t, nil)
	other := newWorld(t, s.registry, s.source, w.front, w.shops, nil)
	var wg sync.WaitGroup
	ended := make([]ctl.Ran, 2)
	for i, one := range []*world{w, other} {
		r := one.startMirror(t)
		wg.Go(func() { ended[i] = r.Wait(t, 5*time.Minute) })
	}
	wg.Wait()
	for i, r := range ended {
		if r.Code != 0 {
			t.Errorf("mirror %d: %v", i, r)
		}
	}
	w.whole(t)
}
