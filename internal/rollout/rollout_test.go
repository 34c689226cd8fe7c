package rollout

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/envelope"
	"ociproxy/internal/gate"
	"ociproxy/internal/lease"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publish"
	"ociproxy/internal/store"
)

var signer = envelope.Key(ed25519.NewKeyFromSeed([]byte(strings.Repeat("s", ed25519.SeedSize))))

// world is a publication in a directory, and a judge that follows a script.
type world struct {
	t      *testing.T
	dir    string
	gates  string
	script func(at gate.At, n int) gate.Verdict // n counts evaluations
	absent func(at gate.At) bool                // instances that do not take it
	events []string
}

const gates = "version: 1\ninstances: {within: 2m}\nsoak: 1m\nlimit: 5m\ngates: [{name: g, expr: x, max: 1}]\n"

func newWorld(t *testing.T, rings ...string) *world {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "world")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: dir, gates: gates, script: func(gate.At, int) gate.Verdict { return gate.Good }, absent: func(gate.At) bool { return false }}
	for _, text := range []string{"older", "old"} {
		w.publish(text, rings...)
	}
	return w
}

func (w *world) bucket() store.Bucket {
	b, err := store.Open(context.Background(), "file://"+w.dir, store.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func (w *world) site(b store.Bucket) *publish.Site {
	return &publish.Site{Bucket: b, Trust: &publication.Trust{Deployment: "prod", Roots: []ed25519.PublicKey{signer.Public()}, MaxAge: -1}}
}

func (w *world) publish(text string, rings ...string) {
	w.t.Helper()
	site := w.site(w.bucket())
	st, err := site.Read(context.Background())
	if err == nil {
		_, err = site.Publish(context.Background(), st, signer, publish.Change{Rings: rings, Content: []byte(text), Why: "by hand"})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// contents are the contents of the rings.
func (w *world) contents() map[string]string {
	w.t.Helper()
	site, out := w.site(w.bucket()), map[string]string{}
	st, err := site.Read(context.Background())
	if err != nil || len(st.Faults) > 0 {
		w.t.Fatal(err, st.Faults)
	}
	for ring, h := range st.Heads {
		text, err := site.Content(context.Background(), h.SHA256, h.Bytes)
		if err != nil {
			w.t.Fatal(err)
		}
		out[ring] = string(text)
	}
	return out
}

func (w *world) want(want string) {
	w.t.Helper()
	got := w.contents()
	var all []string
	for _, ring := range slices.Sorted(maps.Keys(got)) {
		all = append(all, ring+"="+got[ring])
	}
	if text := strings.Join(all, " "); text != want {
		w.t.Errorf("the rings have %s, want %s", text, want)
	}
}

// options are those of a run on a bucket.
func (w *world) options(b store.Bucket) Options {
	w.t.Helper()
	file, err := gate.Parse("gates.yaml", []byte(w.gates))
	if err != nil {
		w.t.Fatal(err)
	}
	return Options{
		Site: w.site(b), Sign: signer, Gates: file, By: "test", TTL: 10 * time.Minute, // few renewals: they are slow on a disk
		NewJudge: func(map[string][]string) Judge { return &scripted{w: w, file: file} },
		Tell: func(_ context.Context, e Event) {
			if e.Kept() {
				w.events = append(w.events, fmt.Sprintf("%s %d", e.Event, e.Step))
			}
		},
	}
}

type scripted struct {
	w    *world
	file *gate.File
	n    int
}

func (j *scripted) Baseline(context.Context, gate.At) (map[string][]string, error) {
	return map[string][]string{"g": {"known"}}, nil
}

func (j *scripted) Close() {}

// Evaluate says what the script says, with what the bucket has as what all instances have.
func (j *scripted) Evaluate(_ context.Context, at gate.At) *gate.Evaluation {
	e := &gate.Evaluation{At: time.Now(), Presence: gate.Presence{Known: true, OK: !j.w.absent(at)}}
	e.Results = []gate.Result{{Gate: "g", Verdict: j.w.script(at, j.n), At: time.Now(), Detail: "scripted"}}
	j.n++
	return e
}

func plan(pause ...string) Plan {
	return Plan{Why: "#1", PauseBefore: pause, Steps: []PlanStep{
		{"canary", []string{"canary"}, []byte("new")}, {"early", []string{"early"}, []byte("new")}, {"all", []string{"all"}, []byte("new")},
	}}
}

func (w *world) start(p Plan) (End, error) {
	return Start(context.Background(), w.options(w.bucket()), p)
}

func (w *world) ends(want End, got End, err error) {
	w.t.Helper()
	if got != want || err != nil {
		w.t.Fatalf("it ended with %q, %v, want %q; events %v", got, err, want, w.events)
	}
}

func test(t *testing.T, name string, f func(*testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

func TestRollout(t *testing.T) {
	test(t, "good", func(t *testing.T) {
		w := newWorld(t, "all", "canary", "early")
		began := time.Now()
		end, err := w.start(plan())
		w.ends(EndDone, end, err)
		w.want("all=new canary=new early=new")
		if took := time.Since(began); took < 3*time.Minute {
			t.Errorf("three steps of a minute took %s", took)
		}
		end, err = w.start(plan()) // it has ended: this is a new one
		w.ends(EndDone, end, err)
	})
	test(t, "bad at the second step", func(t *testing.T) {
		w := newWorld(t, "all", "canary", "early")
		var since time.Time
		w.script = func(at gate.At, n int) gate.Verdict {
			if at.Want["early"] > 0 && at.Want["all"] == 0 && len(at.New) == 2 {
				if since.IsZero() {
					since = time.Now()
				}
				return gate.Bad
			}
			return gate.Good
		}
		end, err := w.start(plan())
		w.ends(EndUndone, end, err)
		w.want("all=old canary=old early=old")
		if took := time.Since(since); took > 2*time.Minute {
			t.Errorf("it went back after %s", took)
		}
		if _, err := Resume(t.Context(), w.options(w.bucket())); !errors.Is(err, ErrNothing) {
			t.Error(err)
		}
	})
	test(t, "flapping", func(t *testing.T) { // every third evaluation is bad
		w := newWorld(t, "all", "canary", "early")
		w.script = func(_ gate.At, n int) gate.Verdict {
			if n%3 == 2 {
				return gate.Bad
			}
			return gate.Good
		}
		end, err := w.start(plan())
		w.ends(EndUndone, end, err)
		w.want("all=old canary=old early=old")
	})
	test(t, "no verdict", func(t *testing.T) {
		w := newWorld(t, "all", "canary", "early")
		w.script = func(gate.At, int) gate.Verdict { return gate.None }
		end, err := w.start(plan())
		w.ends(EndNoVerdict, end, err)
		w.want("all=old canary=new early=old")
		end, err = w.start(plan()) // waits again
		w.ends(EndNoVerdict, end, err)
		w.want("all=old canary=new early=old")
		w.script = func(gate.At, int) gate.Verdict { return gate.Good }
		end, err = w.start(plan())
		w.ends(EndDone, end, err)
		w.want("all=new canary=new early=new")
	})
	test(t, "an instance that never takes it", func(t *testing.T) {
		w := newWorld(t, "all", "canary", "early")
		w.absent = func(at gate.At) bool { return at.Want["early"] > 0 && len(at.New) == 2 }
		end, err := w.start(plan())
		w.ends(EndUndone, end, err)
		w.want("all=old canary=old early=old")
	})
	test(t, "pause", func(t *testing.T) {
		w := newWorld(t, "all", "canary", "early")
		for range 2 { // the same command does not go on
			end, err := w.start(plan("all"))
			w.ends(EndPaused, end, err)
			w.want("all=old canary=new early=new")
		}
		end, err := Resume(t.Context(), w.options(w.bucket()))
		w.ends(EndDone, end, err)
		w.want("all=new canary=new early=new")
	})
	test(t, "abort", func(t *testing.T) {
		w := newWorld(t, "all", "canary", "early")
		end, err := w.start(plan("all"))
		w.ends(EndPaused, end, err)
		end, err = Abort(t.Context(), w.options(w.bucket()), "enough")
		w.ends(EndUndone, end, err)
		w.want("all=old canary=old early=old")
	})
	test(t, "freeze", func(t *testing.T) { // synctest begins on a Saturday
		w := newWorld(t, "all", "canary", "early")
		w.gates += "freeze: [{why: weekend, weekly: \"Fri 15:00 - Mon 08:00\"}]\n"
		end, err := w.start(plan())
		w.ends(EndFrozen, end, err)
		w.want("all=old canary=old early=old")
		opt := w.options(w.bucket())
		opt.IgnoreFreeze = true
		end, err = Start(t.Context(), opt, plan())
		w.ends(EndDone, end, err)
	})
	test(t, "a store in steps", func(t *testing.T) {
		w := newWorld(t, "all", "canary")
		p := Plan{Steps: []PlanStep{
			{"5%", []string{"canary", "all"}, []byte("5")}, {"50%", []string{"canary", "all"}, []byte("50")}, {"100%", []string{"canary", "all"}, []byte("100")},
		}}
		w.script = func(at gate.At, _ int) gate.Verdict {
			if len(at.New) == 3 {
				return gate.Bad
			}
			return gate.Good
		}
		end, err := w.start(p)
		w.ends(EndUndone, end, err)
		w.want("all=old canary=old")
	})
	test(t, "another rollout", func(t *testing.T) {
		w := newWorld(t, "all", "canary", "early")
		end, err := w.start(plan("all"))
		w.ends(EndPaused, end, err)
		other := plan()
		other.Steps = other.Steps[:1]
		if _, err := w.start(other); !errors.Is(err, ErrOther) {
			t.Error(err)
		}
	})
}

// TestForeign: it stops when somebody else publishes, and never replaces that.
func TestForeign(t *testing.T) {
	for ring, wants := range map[string][2]string{
		"canary": {"all=old canary=theirs early=old", "all=old canary=theirs early=old"},
		"all":    {"all=theirs canary=new early=old", "all=theirs canary=old early=old"},
	} {
		test(t, ring, func(t *testing.T) {
			w := newWorld(t, "all", "canary", "early")
			w.script = func(_ gate.At, n int) gate.Verdict {
				if n == 2 {
					w.publish("theirs", ring)
				}
				return gate.Good
			}
			if end, err := w.start(plan()); !errors.Is(err, ErrForeign) {
				t.Fatal(end, err)
			}
			w.want(wants[0])
			end, err := Abort(t.Context(), w.options(w.bucket()), "")
			w.ends(EndUndone, end, err)
			w.want(wants[1])
		})
	}
}

// TestForged: a state that no config key has signed is not followed.
func TestForged(t *testing.T) {
	w := newWorld(t, "all", "canary", "early")
	name := filepath.Join(w.dir, StateName)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	forger := envelope.Key(ed25519.NewKeyFromSeed([]byte(strings.Repeat("f", ed25519.SeedSize))))
	s := &State{Version: 1, Deployment: "prod", Steps: []Step{{Rings: []string{"all"}}}, Rings: map[string]*Ring{"all": {}}, Phase: Publishing}
	if err := s.write(t.Context(), w.bucket(), forger); err != nil {
		t.Fatal(err)
	}
	if _, err := Resume(t.Context(), w.options(w.bucket())); !errors.Is(err, ErrState) {
		t.Error(err)
	}
}

// dying is a bucket of a process that dies at one of its writes: before it, or right after.
type dying struct {
	store.Bucket
	left  *atomic.Int64
	after bool
	die   context.CancelCauseFunc
}

var errDead = errors.New("this process is dead")

func (d *dying) Put(ctx context.Context, key string, c store.Content, h store.Header, version string) (store.Attrs, error) {
	if strings.HasPrefix(key, leasePrefix) { // its own tests kill it
		return d.Bucket.Put(ctx, key, c, h, version)
	}
	switch n := d.left.Add(-1); {
	case n < 0 || n == 0 && !d.after:
		d.die(errDead)
		return store.Attrs{}, errDead
	case n == 0:
		if _, err := d.Bucket.Put(ctx, key, c, h, version); err != nil {
			return store.Attrs{}, err
		}
		d.die(errDead)
		return store.Attrs{}, errDead
	}
	return d.Bucket.Put(ctx, key, c, h, version)
}

func (d *dying) Delete(ctx context.Context, key, version string) error {
	if d.left.Load() <= 0 {
		return errDead // the lease stays
	}
	return d.Bucket.Delete(ctx, key, version)
}

// TestDies kills a rollout at each write, and runs it again: in the end all rings have the new config, or all the old.
func TestDies(t *testing.T) {
	for name, c := range map[string]struct {
		bad  bool
		end  End
		want string
	}{
		"good": {false, EndDone, "all=new canary=new early=new"},
		"bad":  {true, EndUndone, "all=old canary=old early=old"},
	} {
		for _, after := range []bool{false, true} {
			for n, ended := int64(1), false; !ended; n++ {
				test(t, fmt.Sprintf("%s/%d %t", name, n, after), func(t *testing.T) {
					w := newWorld(t, "all", "canary", "early")
					w.script = func(at gate.At, _ int) gate.Verdict {
						if c.bad && at.Want["all"] > 0 && len(at.New) == 3 {
							return gate.Bad
						}
						return gate.Good
					}
					left := new(atomic.Int64)
					left.Store(n)
					ctx, die := context.WithCancelCause(t.Context())
					defer die(nil)
					end, err := Start(ctx, w.options(&dying{w.bucket(), left, after, die}), plan())
					if ended = err == nil; ended {
						w.ends(c.end, end, err)
						return
					}
					if !errors.Is(err, errDead) && left.Load() > 0 {
						t.Fatal(err)
					}
					st, err := ReadState(t.Context(), w.bucket(), w.site(w.bucket()).Trust)
					if err != nil {
						t.Fatal(err)
					}
					switch {
					case st == nil || !st.Ended(): // from the beginning, or in the middle
						end, err = w.start(plan())
						w.ends(c.end, end, err)
					case st.Phase != map[End]Phase{EndDone: Done, EndUndone: Undone}[c.end]:
						t.Errorf("phase %s", st.Phase)
					}
					w.want(c.want)
				})
				if n > 200 {
					t.Fatal("it never ends")
				}
			}
		}
	}
}

// TestHeld: a second run does not begin while the first is at work.
func TestHeld(t *testing.T) {
	test(t, "held", func(t *testing.T) {
		w := newWorld(t, "all", "canary", "early")
		var second error
		w.script = func(_ gate.At, n int) gate.Verdict {
			if n == 3 {
				_, second = Abort(context.Background(), w.options(w.bucket()), "")
			}
			return gate.Good
		}
		end, err := w.start(plan())
		w.ends(EndDone, end, err)
		if !errors.Is(second, lease.ErrHeld) || !strings.Contains(fmt.Sprint(second), "test, since ") {
			t.Errorf("the second run: %v", second)
		}
	})
}
