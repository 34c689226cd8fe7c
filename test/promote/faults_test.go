package promote

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ociproxy/test/ctl"
	"ociproxy/test/gate"
	"ociproxy/test/parts"
	"ociproxy/test/shop"
	"ociproxy/test/source"
)

// tiny is enough for a fault to have company.
var tiny = source.Shape{Images: 5, Repos: 2, Seed: 80, Smallest: 1 << 10, Largest: 20 << 10}

// all matches every request.
func all(*http.Request) bool { return true }

// always spoils every request that matches.
func always(match func(*http.Request) bool, f gate.Fault) func(*http.Request) (gate.Fault, bool) {
	return gate.Nth(1, 1<<30, match, f)
}

var (
	dead = gate.Fault{Cut: true, After: -1}
	busy = gate.Fault{Status: http.StatusTooManyRequests, Retry: "1", After: -1}
	sick = gate.Fault{Status: http.StatusInternalServerError, After: -1}
)

// class fails unless a command failed for the wanted reasons only.
func class(t testing.TB, what string, r ctl.Ran, code int) {
	t.Helper()
	if r.Code != code {
		t.Errorf("%s: exit code %d, want %d: %v", what, r.Code, code, r)
	}
}

// TestSlowDestinationDown: a destination that cannot be reached holds back no other, and gets everything in the next run.
func TestSlowDestinationDown(t *testing.T) {
	parts.Slow(t)
	t.Parallel()
	s := newScene(t)
	downs := map[string]func(w *world) ctl.Ran{
		"from the beginning": func(w *world) ctl.Ran {
			w.gates[1].Spoil(always(all, dead))
			_, r := w.run(t)
			return r
		},
		"since the plan": func(w *world) ctl.Ran {
			plan, _ := w.plan(t)
			w.gates[1].Spoil(always(all, dead))
			_, r := w.apply(t, plan)
			return r
		},
		"for tags": func(w *world) ctl.Ran {
			w.gates[1].Spoil(always(named("PUT", "tag"), sick))
			_, r := w.run(t)
			return r
		},
	}
	for _, name := range []string{"from the beginning", "since the plan", "for tags"} {
		t.Run(name, func(t *testing.T) {
			w := s.world(t, tiny)
			o := w.observe(t)
			class(t, "run", downs[name](w), partly|badRegistry)
			o.look(t)
			w.wholeIn(t, w.entries(nil), []int{0}, w.shops)
			w.finish(t)
		})
	}
}

// TestSlowStoreDown: what each policy makes of a store that cannot be reached. What was promoted without it, a pass of the mirror brings.
func TestSlowStoreDown(t *testing.T) {
	parts.Slow(t)
	t.Parallel()
	s := newScene(t)
	for _, down := range []struct {
		name     string
		rule     func(*http.Request) (gate.Fault, bool)
		policies map[string]int // and how the run ends
	}{
		{"dead", always(all, dead), map[string]int{"healthy": 0, "all": nothingDone | badStore}},
		{"takes no blobs", always(is("PUT", "/containers/images/"), sick), map[string]int{"2": 0, "3": nothingDone | badStore}},
		{"takes no inventory", always(is("PUT", "/inventory/head.json"), sick), map[string]int{"healthy": 0, "all": nothingDone | badStore}},
	} {
		for require, code := range down.policies {
			t.Run(down.name+"/"+require, func(t *testing.T) {
				w := s.world(t, tiny)
				o := w.observe(t, w.shops[:2]...)
				w.stores.Gates[2].Spoil(down.rule)
				got, r := w.run(t, "--require-stores", require, "--store-timeout", "20s")
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
				if r := ctl.Run(t, ctl.Limit, shop.Environment, "mirror", "--config", w.file, "--once", "--output", "json"); r.Code != 0 {
					t.Errorf("mirror: %v", r)
				}
				w.finish(t)
			})
		}
	}
}

// TestSlowStorm: registries that turn away most requests for a while are asked less. What was turned away too often waits for the next run.
func TestSlowStorm(t *testing.T) {
	parts.Slow(t)
	t.Parallel()
	s := newScene(t)
	for name, g := range map[string]*gate.Gate{"staging": s.front, "production": s.gates[0]} {
		t.Run(name, func(t *testing.T) {
			w := s.world(t, tiny)
			w.observe(t)
			n := 0
			g.Spoil(func(*http.Request) (gate.Fault, bool) {
				n++
				return busy, n > 5 && n < 60 && n%6 != 0
			})
			_, r := w.run(t)
			if r.Code != 0 {
				class(t, "run", r, partly|badRegistry)
			}
			t.Logf("exit code %d; %d of %d requests were turned away; %v", r.Code, g.Strikes(), n, r.Took)
			w.finish(t)
		})
	}
}

// TestTagMoved, and TestSlowTagMoved: a tag that somebody else sets after the plan was made stays as it is, whenever that happens; everything else is promoted.
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
			var got report
			if when == "before apply" {
				someone()
				got, r = w.apply(t, plan)
			} else {
				begun := ctl.Start(t, shop.Environment, append([]string{"promote", "apply", plan}, w.runFlags("--settle", "6s")...)...)
				at := newAPI(w.prod[d.prod].Addr)
				parts.Poll(t, time.Minute, "the image in production by digest", func() error {
					if found, err := at.digest(repo, e.digest); found == "" {
						return fmt.Errorf("not there, %w", err)
					}
					return nil
				})
				someone()
				got, r = decode(t, begun.Wait(t, ctl.Limit))
			}
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

// TestSourceGone: images whose manifest or layers are deleted in staging after the plan was made are not promoted, in no part that is visible;
// everything else is. When they are back, the next run promotes them.
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

// TestTwoRuns: of two runs at once one works at a time, and one that meets the other says so.
func TestTwoRuns(t *testing.T) {
	t.Parallel()
	w := newScene(t).world(t, tiny)
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

// apart fails when the audit log says that two runs wrote by turns.
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
