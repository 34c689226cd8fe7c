package promote

import (
	"math/rand/v2"
	"net/http"
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

// step is one kind of request that an application makes.
type step struct {
	name  string
	at    func(w *world) *gate.Gate
	match func(r *http.Request) bool
}

func staging(w *world) *gate.Gate { return w.front }
func store(w *world) *gate.Gate   { return w.shops[0].Gate }
func west(w *world) *gate.Gate    { return w.gates[0] }
func east(w *world) *gate.Gate    { return w.gates[1] }

// is matches a method and a part of the path.
func is(method, part string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == method && strings.Contains(r.URL.Path, part) }
}

// named matches requests for manifests by the kind of name: "digest", "about" (a tag about a digest) or "tag".
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

// readBack matches a read of what was just written.
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

// steps returns the steps of an application in order: the lease, (1) blobs to stores and inventories, (2) blobs and
// manifests to destinations, (3) read back, (5) tags.
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

// TestKill kills a few runs at steps in the middle. TestSlowKill kills at every step, before and after the server did
// its work, and then at random moments.
func TestKill(t *testing.T) {
	t.Parallel()
	all := steps()
	killing(t, []step{all[9], all[12]}, 1)
}

func TestSlowKill(t *testing.T) {
	parts.Slow(t)
	t.Parallel()
	atRandom := 5
	if parts.Exhaustive() {
		atRandom = 20
	}
	killing(t, steps(), atRandom)
}

// TestDeadRun: after a run was killed, the next run waits until the dead run's lease has expired, then does its work.
func TestDeadRun(t *testing.T) {
	t.Parallel()
	w := newScene(t).world(t, tiny)
	o := w.observe(t)
	w.ttl = "15s"
	begun := time.Now()                        // before the dead run takes its lease
	if !w.killedAt(t, steps()[12], false, 1) { // when it sets tags, it has the lease
		t.Fatal("the run was not killed")
	}
	if _, r := w.run(t); r.Code != 0 || time.Since(begun) < 15*time.Second {
		t.Errorf("the next run, done %v after the dead one began: %v", time.Since(begun), r)
	}
	o.look(t)
	w.finish(t)
}

// tries is how many runs may end without the request that they are to be killed at.
const tries = 12

// killing gives each run more to do than the one before, and kills it. The observer watches what is visible all the
// time. In the end one run makes production match the tree.
func killing(t *testing.T, each []step, atRandom int) {
	const repos = 4
	runs := 2*2*len(each) + 2*tries + atRandom // an upper limit, nearly always
	w := newScene(t).world(t, source.Shape{Images: runs, Repos: repos, Seed: 60, Smallest: 600, Largest: 6 << 10})
	// The images of a project are sorted by repository, and only one repository has signatures. The runs take the
	// repositories in turn, so that there are new signatures until the end.
	inEach := (runs + repos - 1) / repos
	turn := func(image int) int { return image%inEach*repos + image/inEach }
	run := -1
	more := func() {
		w.writeTree(t, func(n int, _ source.Pushed) bool { return turn(n%runs) <= run })
		run++
	}
	more()
	o := w.observe(t)
	for _, st := range each {
		for _, persisted := range []bool{false, true} {
			// Do not always kill at the first request of a kind, unless there is only one. Not every image has
			// signatures.
			killed := false
			for try := 0; try < tries && !killed; try++ {
				more()
				nth := 1
				if try == 0 {
					nth += rand.IntN(2)
				}
				killed = w.killedAt(t, st, persisted, nth)
				w.bury(t)
				o.look(t)
			}
			if !killed {
				t.Errorf("%s, persisted %t: no run was killed", st.name, persisted)
			}
		}
	}
	ended := 0
	for range atRandom {
		more()
		r := w.start(t)
		<-time.After(time.Duration(50+rand.IntN(2500)) * time.Millisecond)
		r.Signal(syscall.SIGKILL)
		switch e := r.Wait(t, ctl.Limit); e.Code {
		case -1:
		case 0:
			ended++
		default:
			t.Errorf("a run that ended by itself: %v", e)
		}
		w.bury(t)
		o.look(t)
	}
	t.Logf("%d runs were killed at steps, %d of %d ended before they were killed at random", 2*len(each), ended, atRandom)
	w.writeTree(t, nil)
	w.finish(t)
}

// killedAt starts a run and kills it when it makes the nth request of a kind, before or after the server did its work.
// It reports whether there was such a request.
func (w *world) killedAt(t *testing.T, st step, persisted bool, nth int) bool {
	t.Helper()
	var mu sync.Mutex
	var victim *ctl.Running
	st.at(w).Spoil(func(r *http.Request) (gate.Fault, bool) {
		if !st.match(r) {
			return gate.Pass, false
		}
		if nth--; nth != 0 {
			return gate.Pass, false
		}
		if persisted { // a dead client sends nothing more, so what it sent must arrive
			return gate.Fault{Cut: true, Persisted: true, After: -1, Then: func() { kill(&mu, &victim) }}, true
		}
		kill(&mu, &victim)
		return gate.Fault{Cut: true, After: -1}, true
	})
	mu.Lock()
	victim = w.start(t)
	mu.Unlock()
	e := victim.Wait(t, ctl.Limit)
	w.quietly(t)
	if e.Code > 0 {
		t.Errorf("%s: it was not killed: exit code %d\n%s", st.name, e.Code, e.Stderr)
	}
	return e.Code < 0
}

// bury removes the leases of a run that is known to be dead, so that the next run does not wait until they expire.
func (w *world) bury(t *testing.T) {
	t.Helper()
	w.quietly(t)
	for _, s := range w.shops {
		for _, key := range s.List(t, "promote/") {
			s.Remove(t, key)
		}
	}
}

func kill(mu *sync.Mutex, victim **ctl.Running) {
	mu.Lock()
	defer mu.Unlock()
	(*victim).Signal(syscall.SIGKILL)
}

// quietly ends all faults and waits until no request of a dead client is in progress.
func (w *world) quietly(t *testing.T) {
	t.Helper()
	w.quiet()
	for _, g := range w.all() {
		g.Quiet(t)
	}
}
