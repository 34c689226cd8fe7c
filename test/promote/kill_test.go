package promote

import (
	"fmt"
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
	"ociproxy/test/source"
)

// step is one kind of request of an application, in the order of its steps.
type step struct {
	name  string
	at    func(s *scene) *gate.Gate
	match func(r *http.Request) bool
}

func staging(s *scene) *gate.Gate { return s.front }
func store(s *scene) *gate.Gate   { return s.stores.Gates[0] }
func west(s *scene) *gate.Gate    { return s.gates[0] }
func east(s *scene) *gate.Gate    { return s.gates[1] }

// is matches a method and a part of the path.
func is(method, part string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == method && strings.Contains(r.URL.Path, part) }
}

// named matches a manifest by a kind of name: "digest", "about" (a tag about a digest) or "tag".
func named(method, kind string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		_, ref, ok := strings.Cut(r.URL.Path, "/manifests/")
		got := "tag"
		switch {
		case strings.HasPrefix(ref, "sha256:"):
			got = "digest"
		case strings.HasPrefix(ref, "sha256-"):
			got = "about"
		}
		return ok && r.Method == method && got == kind
	}
}

// readBack matches the reading of what was just written.
func readBack(kind string) func(*http.Request) bool {
	put, got := named(http.MethodPut, kind), named(http.MethodGet, kind)
	head := named(http.MethodHead, kind)
	written := ""
	return func(r *http.Request) bool {
		if put(r) {
			written = r.URL.Path
		}
		return (got(r) || head(r)) && r.URL.Path == written
	}
}

// steps are those of an application: the lease, (1) blobs into stores and inventories, (2) blobs and manifests into destinations, (3)
// read back, (5) tags.
func steps() []step {
	return []step{
		{"read a manifest", staging, named("GET", "digest")},
		{"write the lease", store, is("PUT", "/promote/lease-")},
		{"read a blob", staging, is("GET", "/blobs/")},
		{"put a blob into a store", store, is("PUT", "/containers/images/")},
		{"begin an upload or mount", west, is("POST", "/blobs/uploads/")},
		{"put a blob into a registry", east, is("PUT", "/blobs/uploads/")},
		{"put a manifest", west, named("PUT", "digest")},
		{"read a manifest back", east, readBack("digest")},
		{"put a segment", store, is("PUT", "/inventory/seg/")},
		{"put the head", store, is("PUT", "/inventory/head.json")},
		{"tag a signature", east, named("PUT", "about")},
		{"look at a tag", west, named("HEAD", "tag")},
		{"set a tag", west, named("PUT", "tag")},
		{"set the other tag", east, named("PUT", "tag")},
		{"read a tag back", west, readBack("tag")},
	}
}

// TestKill kills a few runs at steps in the middle; TestSlowKill kills at every step, before and after the server did its work, and then at
// random moments.
func TestKill(t *testing.T) {
	t.Parallel()
	all := steps()
	killing(t, []step{all[9], all[12]}, 1)
}

func TestSlowKill(t *testing.T) {
	parts.Slow(t)
	t.Parallel()
	takes := parts.OneIn(3)
	each := slices.DeleteFunc(steps(), func(step) bool { return !takes() })
	atRandom := 4
	if parts.Exhaustive() {
		atRandom = 20
	}
	killing(t, each, atRandom)
}

// killing lets each run find more to do than the one before, and kills it. What is visible is watched all the while; in the end one run
// makes production what the tree says.
func killing(t *testing.T, each []step, atRandom int) {
	runs := 2*len(each) + atRandom
	w := newScene(t).world(t, source.Shape{Images: 2 * runs, Repos: 4, Seed: 60, Smallest: 600, Largest: 6 << 10})
	w.ttl = "3s" // who finds the lease of a dead run waits as long
	upTo := func(run int) func(int, source.Pushed) bool {
		return func(n int, _ source.Pushed) bool { return n%runs <= run }
	}
	w.writeTree(t, upTo(-1))
	o := w.observe(t)
	killed, run := 0, 0
	for _, st := range each {
		for _, persisted := range []bool{false, true} {
			name := fmt.Sprintf("%s, %s", st.name, map[bool]string{false: "before", true: "after"}[persisted])
			w.writeTree(t, upTo(run))
			run++
			var mu sync.Mutex
			var victim *ctl.Running
			nth := 1 + rand.IntN(2)
			st.at(w.scene).Spoil(func(r *http.Request) (gate.Fault, bool) {
				if !st.match(r) {
					return gate.Pass, false
				}
				if nth--; nth != 0 {
					return gate.Pass, false
				}
				if persisted { // a client that is dead has nothing to send any more: what it sent is to arrive
					return gate.Fault{Cut: true, Persisted: true, After: -1, Then: func() { kill(&mu, &victim) }}, true
				}
				kill(&mu, &victim)
				return gate.Fault{Cut: true, After: -1}, true
			})
			mu.Lock()
			victim = w.start(t)
			mu.Unlock()
			e := victim.Wait(t, ctl.Limit)
			if e.Code < 0 {
				killed++
			} else {
				t.Logf("%s: it was not killed: exit code %d\n%s", name, e.Code, e.Stderr)
			}
			w.quietly(t)
			o.look(t)
		}
	}
	for range atRandom {
		w.writeTree(t, upTo(run))
		run++
		r := w.start(t)
		<-time.After(time.Duration(50+rand.IntN(4500)) * time.Millisecond)
		r.Signal(syscall.SIGKILL)
		if e := r.Wait(t, ctl.Limit); e.Code < 0 {
			killed++
		} else if e.Code != 0 {
			t.Errorf("a run that ended by itself: %v", e)
		}
		w.quietly(t)
		o.look(t)
	}
	t.Logf("%d of %d runs were killed", killed, runs)
	if killed < runs*2/3 {
		t.Errorf("%d of %d runs were killed: the others ended before", killed, runs)
	}
	w.writeTree(t, nil)
	w.finish(t)
}

func kill(mu *sync.Mutex, victim **ctl.Running) {
	mu.Lock()
	defer mu.Unlock()
	(*victim).Signal(syscall.SIGKILL)
}

// quietly ends all faults, and waits until no request of a dead client is on its way.
func (w *world) quietly(t *testing.T) {
	t.Helper()
	w.quiet()
	for _, g := range append([]*gate.Gate{w.front}, append(w.gates, w.stores.Gates...)...) {
		g.Quiet(t)
	}
}
