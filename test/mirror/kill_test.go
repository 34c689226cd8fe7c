package mirror

import (
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ociproxy/test/parts"
)

// TestKill kills the mirror a few times; TestSlowKill fifty times.
func TestKill(t *testing.T) { killing(t, 6) }

// TestSlowKill kills the mirror at random moments, fifty times. At the end one pass completes everything, and nothing was read
// twice without cause.
func TestSlowKill(t *testing.T) {
	parts.Slow(t)
	killing(t, 50)
}

func killing(t *testing.T, kills int) {
	s := newScene(t, shape{images: 40, repos: 4, seed: 5, smallest: 8 << 10, largest: 600 << 10, big: []int64{17 << 20, 9 << 20, 5 << 20}})
	w := s.world(t, nil)
	// So slow that it is not over before the last kill.
	s.front.spoil(func(r *http.Request) (fault, bool) {
		return fault{pace: 10 << 20 / int64(kills), after: -1}, strings.Contains(r.URL.Path, "/blobs/")
	})
	unique := s.source.unique()
	total, twice := map[string]int64{}, int64(0)
	settled := map[string]bool{} // durable in all stores when a process was killed
	ended := 0
	for i := range kills {
		r := w.startMirror(t)
		// From before the first request to well into the copying.
		<-time.After(time.Duration(20+rand.IntN(1000)) * time.Millisecond)
		_ = r.cmd.Process.Signal(syscall.SIGKILL) // it may have ended
		if e := r.wait(t, time.Minute); e.code >= 0 {
			ended++
		}
		s.front.quiet(t)
		got := map[string]int64{}
		for _, e := range s.front.take() {
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
		for digest := range s.source.blobs {
			settled[digest] = !slices.ContainsFunc(w.shops, func(shop *shop) bool {
				_, err := os.Stat(shop.server.File(shop.s3bucket, blobKey(digest)))
				return err != nil
			})
		}
	}
	s.front.spoil(nil)
	last := w.mirror(t)
	if last.code != 0 {
		t.Fatalf("mirror: %v", last)
	}
	read, _ := w.reads()
	for digest, n := range read {
		total[digest] += n
	}
	for digest, n := range total {
		twice += max(0, n-s.source.blobs[digest])
	}
	for digest := range read {
		if settled[digest] {
			t.Errorf("the last run read %s, which all stores had", digest)
		}
	}
	t.Logf("%d kills, %d passes ended before; unique %d bytes, read %d, of them again %d (%.1f KiB a kill)", kills, ended, unique, sum(total), twice,
		float64(twice)/1024/float64(kills))
	w.whole(t)
	if again := w.mirror(t); again.code != 0 {
		t.Errorf("mirror: %v", again)
	}
	if read, _ := w.reads(); len(read) > 0 {
		t.Errorf("a pass with nothing to do read %d blobs", len(read))
	}
}

// TestTwoWriters: two mirrors at once, over the same stores, bring everything and spoil nothing.
func TestTwoWriters(t *testing.T) {
	s := newScene(t, shape{images: 30, repos: 4, seed: 6, smallest: 8 << 10, largest: 300 << 10, big: []int64{17 << 20}})
	w := s.world(t, nil)
	other := newWorld(t, s.registry, s.source, s.front, w.shops, nil)
	var wg sync.WaitGroup
	ended := make([]ran, 2)
	for i, one := range []*world{w, other} {
		r := one.startMirror(t)
		wg.Go(func() { ended[i] = r.wait(t, 5*time.Minute) })
	}
	wg.Wait()
	for i, r := range ended {
		if r.code != 0 {
			t.Errorf("mirror %d: %v", i, r)
		}
	}
	w.whole(t)
}
