package promote

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ociproxy/test/ctl"
	"ociproxy/test/gate"
	"ociproxy/test/parts"
	"ociproxy/test/source"
)

// tiny is a source of a few images, so that a fault strikes one among others.
var tiny = source.Shape{Images: 5, Repos: 2, Seed: 80, Smallest: 1 << 10, Largest: 20 << 10}

// all matches every request.
func all(*http.Request) bool { return true }

// always returns a rule that spoils every request that matches.
func always(match func(*http.Request) bool, f gate.Fault) func(*http.Request) (gate.Fault, bool) {
	return gate.Nth(1, 1<<30, match, f)
}

// rule returns a function that makes a new rule of always, one for each world.
func rule(match func(*http.Request) bool, f gate.Fault) func() func(*http.Request) (gate.Fault, bool) {
	return func() func(*http.Request) (gate.Fault, bool) { return always(match, f) }
}

var (
	dead = gate.Fault{Cut: true, After: -1}
	busy = gate.Fault{Status: http.StatusTooManyRequests, Retry: "1", After: -1}
	sick = gate.Fault{Status: http.StatusInternalServerError, After: -1}
)

// class fails the test unless a command ended with the wanted exit code.
func class(t testing.TB, what string, r ctl.Ran, code int) {
	t.Helper()
	if r.Code != code {
		t.Errorf("%s: exit code %d, want %d: %v", what, r.Code, code, r)
	}
}

// TestSlowDestinationDown: a destination that cannot be reached does not hold back others, and gets everything in the
// next run.
func TestSlowDestinationDown(t *testing.T) {
	parts.Slow(t)
	t.Parallel()
	s := newScene(t)
	for name, down := range map[string]func(t *testing.T, w *world) ctl.Ran{
		"from the beginning": func(t *testing.T, w *world) ctl.Ran {
			w.gates[1].Spoil(always(all, dead))
			_, r := w.run(t)
			return r
		},
		"since the plan": func(t *testing.T, w *world) ctl.Ran {
			plan, _ := w.plan(t)
			w.gates[1].Spoil(always(all, dead))
			_, r := w.apply(t, plan)
			return r
		},
		"for tags": func(t *testing.T, w *world) ctl.Ran {
			w.gates[1].Spoil(always(named("PUT", "tag"), sick))
			_, r := w.run(t)
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := s.world(t, tiny)
			o := w.observe(t)
			class(t, "run", down(t, w), partly|badRegistry)
			o.look(t)
			w.wholeIn(t, w.entries(nil), []int{0}, w.shops)
			w.finish(t)
		})
	}
}

// TestSlowStoreDown checks what each policy does about a store that cannot be reached. A pass of the mirror later
// copies what was promoted without it.
func TestSlowStoreDown(t *testing.T) {
	parts.Slow(t)
	t.Parallel()
	s := newScene(t)
	for _, down := range []struct {
		name     string
		rule     func() func(*http.Request) (gate.Fault, bool)
		policies map[string]int // the policies, and the exit code of the run for each
	}{
		{"dead", rule(all, dead), map[string]int{"healthy": 0, "all": nothingDone | badStore}},
		{"takes no blobs", rule(is("PUT", "/containers/images/"), sick), map[string]int{"2": 0, "3": nothingDone | badStore}},
		{"takes no inventory", rule(is("PUT", "/inventory/head.json"), sick), map[string]int{"healthy": 0, "all": nothingDone | badStore}},
	} {
		for require, code := range down.policies {
			t.Run(down.name+"/"+require, func(t *testing.T) {
				t.Parallel()
				w := s.world(t, tiny)
				// Each request is tried less often than usual. The timeout for good stores is one that even a busy
				// machine does not reach.
				w.env = append([]string{"AWS_MAX_ATTEMPTS=2"}, w.env...)
				o := w.observe(t, w.shops[:2]...)
				w.shops[2].Gate.Spoil(down.rule())
				got, r := w.run(t, "--require-stores", require, "--store-timeout", "2m")
				class(t, "run", r, code)
				t.Logf("%v, of which %d ms to apply", r.Took, got.DurationMs)
				o.look(t)
				if code != 0 {
					if len(o.seen) > 0 {
						t.Errorf("tags are visible: %v", o.seen)
					}
					w.finish(t)
					return
				}
				w.wholeIn(t, w.entries(nil), []int{0, 1}, w.shops[:2])
				if behind := got.Stores[2]; behind.Behind == 0 {
					t.Errorf("the report does not say that a store is behind: %+v", behind)
				}
				w.quiet()
				if r := ctl.Run(t, ctl.Limit, w.env, "mirror", "--config", w.file, "--once", "--output", "json"); r.Code != 0 {
					t.Errorf("mirror: %v", r)
				}
				w.finish(t)
			})
		}
	}
}

// TestSlowStorm: registries refuse most requests for a while. The run asks them less often, and everything is promoted.
func TestSlowStorm(t *testing.T) {
	parts.Slow(t)
	t.Parallel()
	s := newScene(t)
	const storm = 8 * time.Second
	for name, front := range map[string]func(*world) *gate.Gate{"staging": staging, "production": west} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := s.world(t, tiny)
			w.observe(t)
			g := front(w)
			n, during := 0, 0
			var over time.Time
			g.Spoil(func(*http.Request) (gate.Fault, bool) {
				if n++; n == 6 {
					over = time.Now().Add(storm)
				}
				if n < 6 || !time.Now().Before(over) {
					return gate.Pass, false
				}
				during++
				return busy, rand.IntN(6) > 0
			})
			_, r := w.run(t)
			class(t, "run", r, 0)
			t.Logf("%d of %d requests were turned away, of %d in the storm; %v", g.Strikes(), n, during, r.Took)
			// 16 requests and 16 blobs at once wait at least a second each, then twice as long.
			if most := 32 * int(storm/time.Second); g.Strikes() == 0 || during > most {
				t.Errorf("%d requests in %v, want at most %d; %d were turned away", during, storm, most, g.Strikes())
			}
			w.finish(t)
		})
	}
}

// TestSlowTurnedAway: an image that a registry always refuses waits for the next run, and does not hold back others.
func TestSlowTurnedAway(t *testing.T) {
	parts.Slow(t)
	t.Parallel()
	w := newScene(t).world(t, tiny)
	entries := w.entries(nil)
	e := entries[0]
	w.gates[0].Spoil(always(is("PUT", "/manifests/"+e.digest), busy))
	got, r := w.run(t)
	class(t, "run", r, partly|badRegistry)
	for _, f := range got.Failures {
		if f.Digest != e.digest {
			t.Errorf("failure: %+v", f)
		}
	}
	t.Logf("%d requests were turned away; %v", w.gates[0].Strikes(), r.Took)
	w.quiet()
	w.whole(t, entries[1:])
	w.finish(t)
}

// TestTagMoved and TestSlowTagMoved: another client sets a tag after the plan was made. The run leaves the tag as it
// is, at whatever moment that happens, and promotes everything else.
func TestTagMoved(t *testing.T) {
	t.Parallel()
	moving(t, "before apply")
}

func TestSlowTagMoved(t *testing.T) {
	parts.Slow(t)
	t.Parallel()
	moving(t, "before apply", "while it settles")
}

func moving(t *testing.T, whens ...string) {
	s := newScene(t)
	for _, when := range whens {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			w := s.world(t, tiny)
			entries := w.entries(nil)
			e, d := entries[1], entries[1].project.to[1]
			repo := w.repository(e, d)
			other := source.New(w.prod[d.prod].Addr, strings.TrimSuffix(repo, e.image))
			someone := func() {
				if _, err := other.Image(e.image, e.tags[0], 7, false, source.NewBlob(7, 900, "sha256")); err != nil {
					t.Error(err)
				}
			}
			plan, r := w.plan(t)
			class(t, "plan", r, 0)
			if when == "before apply" {
				someone()
			} else {
				w.whenRecorded(d, e, sync.OnceFunc(someone))
			}
			got, r := w.apply(t, plan)
			class(t, "apply", r, partly|tagMoved)
			if len(got.Failures) != 1 || got.Failures[0].Tag != e.tags[0] || !strings.HasSuffix(got.Failures[0].Repository, repo) {
				t.Errorf("failures: %+v", got.Failures)
			}
			at := newAPI(w.prod[d.prod].Addr)
			if found, err := at.digest(repo, e.tags[0]); found == e.digest || found == "" || err != nil {
				t.Errorf("the tag is %q, %v: somebody else's was overwritten", found, err)
			}
			_, r = w.run(t)
			class(t, "another run", r, nothingDone|tagMoved)
			_, r = w.run(t, "--allow-tag-move", e.image+":"+e.tags[0])
			class(t, "a run that may move it", r, 0)
			w.finish(t)
		})
	}
}

// whenRecorded calls do when the image is in a destination by its digest, right before the inventory lists its blobs.
// The image's tags wait at least until then.
func (w *world) whenRecorded(d destination, e entry, do func()) {
	var there atomic.Bool
	put, record := is("PUT", w.repository(e, d)+"/manifests/"+e.digest), is("PUT", "/inventory/head.json")
	w.gates[d.prod].Spoil(func(r *http.Request) (gate.Fault, bool) {
		if put(r) {
			there.Store(true)
		}
		return gate.Pass, false
	})
	w.shops[0].Gate.Spoil(func(r *http.Request) (gate.Fault, bool) {
		if record(r) && there.Load() {
			do()
		}
		return gate.Pass, false
	})
}

// TestSourceGone: the manifest or layers of some images are deleted in staging after the plan was made. No visible part
// of these images is promoted; everything else is. When they are back, the next run promotes them.
func TestSourceGone(t *testing.T) {
	t.Parallel()
	w := newScene(t).world(t, tiny)
	o := w.observe(t)
	entries := w.entries(nil)
	manifest, layer := entries[0], entries[2]
	plan, r := w.plan(t)
	class(t, "plan", r, 0)
	repo := func(e entry) string { return w.name + "/staging/" + e.project.folder + "/" + e.image }
	at := newAPI(w.staging.Addr)
	blobs, err := at.closure(repo(layer), layer.digest)
	if err != nil {
		t.Fatal(err)
	}
	others := map[string]bool{}
	for _, e := range entries {
		if e.digest != layer.digest {
			more, err := at.closure(repo(e), e.digest)
			if err != nil {
				t.Fatal(err)
			}
			for digest := range more {
				others[digest] = true
			}
		}
	}
	_, raw, _, err := at.do(http.MethodGet, repo(manifest)+"/manifests/"+manifest.digest)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := at.do(http.MethodDelete, repo(manifest)+"/manifests/"+manifest.digest); err != nil {
		t.Fatal(err)
	}
	w.front.Spoil(always(func(r *http.Request) bool {
		_, digest, ok := strings.Cut(r.URL.Path, "/blobs/")
		_, ours := blobs[digest]
		return ok && ours && !others[digest]
	}, gate.Fault{Status: http.StatusNotFound, After: -1}))
	got, r := w.apply(t, plan)
	class(t, "apply", r, partly|sourceGone)
	o.look(t)
	for _, f := range got.Failures {
		if f.Digest != manifest.digest && f.Digest != layer.digest {
			t.Errorf("failure: %+v", f)
		}
	}
	w.front.Spoil(nil)
	rest := slices.DeleteFunc(slices.Clone(entries), func(e entry) bool { return e.digest == manifest.digest || e.digest == layer.digest })
	w.whole(t, rest)
	_, r = w.run(t)
	class(t, "run without the manifest", r, partly|sourceGone)
	var doc struct{ MediaType string }
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, at.base+repo(manifest)+"/manifests/"+manifest.tags[0], strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", doc.MediaType)
	resp, err := at.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("put the manifest back: %s", resp.Status)
	}
	w.finish(t)
}

// TestTwoRuns: if runs start at the same time, only one works at a time. A run that meets another one reports it.
func TestTwoRuns(t *testing.T) {
	t.Parallel()
	w := newScene(t).world(t, tiny)
	w.ttl = "20s" // a waiting run checks twice in 4 s whether the lease was renewed
	w.observe(t)
	var wg sync.WaitGroup
	ended := make([]ctl.Ran, 3)
	for i := range ended {
		r := w.start(t)
		wg.Go(func() { ended[i] = r.Wait(t, ctl.Limit) })
	}
	wg.Wait()
	good := 0
	for _, r := range ended {
		switch {
		case r.Code == 0:
			good++
		case r.Code != 1 || !strings.Contains(r.Stderr, "another run is at work"):
			t.Errorf("run: %v", r)
		}
	}
	if good == 0 {
		t.Error("no run did its work")
	}
	w.apart(t)
	w.finish(t)
}

// apart fails the test if the audit log shows that two runs wrote alternately.
func (w *world) apart(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(w.log)
	if err != nil {
		t.Fatal(err)
	}
	var at string
	over := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		var e struct{ Run, Action string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("audit log: %q: %v", line, err)
		}
		if e.Run != at {
			if over[e.Run] {
				t.Errorf("run %s goes on after another one began: %s", e.Run, line)
			}
			over[at] = true
			at = e.Run
		}
	}
}
