package rollout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ociproxy/internal/gate"
	"ociproxy/internal/lease"
	"ociproxy/internal/prometheus"
	"ociproxy/internal/publication"
	"ociproxy/internal/store"
)

// faulty is a bucket that can be away, or whose writes can fail.
type faulty struct {
	store.Bucket
	away atomic.Bool
	put  func(key string, write func() error) error // nil: writes work
}

var errGone = errors.New("no answer from the bucket")

func (f *faulty) Get(ctx context.Context, key string, at, n int64) (io.ReadCloser, store.Attrs, error) {
	if f.away.Load() {
		return nil, store.Attrs{}, errGone
	}
	return f.Bucket.Get(ctx, key, at, n)
}

func (f *faulty) List(ctx context.Context, prefix, after string) iter.Seq2[store.Attrs, error] {
	if f.away.Load() {
		return func(yield func(store.Attrs, error) bool) { yield(store.Attrs{}, errGone) }
	}
	return f.Bucket.List(ctx, prefix, after)
}

func (f *faulty) Put(ctx context.Context, key string, c store.Content, h store.Header, version string) (at store.Attrs, err error) {
	if f.away.Load() {
		return store.Attrs{}, errGone
	}
	write := func() error {
		at, err = f.Bucket.Put(ctx, key, c, h, version)
		return err
	}
	if f.put == nil || strings.HasPrefix(key, leasePrefix) {
		return at, write()
	}
	if err := f.put(key, write); err != nil {
		return store.Attrs{}, err
	}
	return at, nil
}

func (f *faulty) Delete(ctx context.Context, key, version string) error {
	if f.away.Load() {
		return errGone
	}
	return f.Bucket.Delete(ctx, key, version)
}

// options returns those of a run on the bucket, with a lease that is lost when the bucket is away for long.
func (f *faulty) options(w *world) Options {
	f.Bucket = w.bucket()
	opt := w.options(f)
	opt.TTL = 0
	return opt
}

// TestBucketAway: when the bucket is there again, the rollout goes on or goes back, without a person. The lease was lost
// meanwhile.
func TestBucketAway(t *testing.T) {
	for name, tt := range map[string]struct {
		bad  bool // while the bucket is away
		away time.Duration
		end  End
		err  error
		want string
		then End // of a later run
	}{
		"good, for 3 minutes": {false, 3 * time.Minute, EndDone, nil, "all=new canary=new early=new", ""},
		"bad, for 3 minutes":  {true, 3 * time.Minute, EndUndone, nil, "all=old canary=old early=old", ""},
		"good, for an hour":   {false, time.Hour, "", errGone, "all=old canary=new early=old", EndDone},
		"bad, for an hour":    {true, time.Hour, "", ErrStuck, "all=old canary=new early=old", EndUndone},
	} {
		test(t, name, func(t *testing.T) {
			w, b, once := newWorld(t, "all", "canary", "early"), &faulty{}, false
			w.script = func(at gate.At, n int) gate.Verdict {
				if n == 2 && !once {
					once = true
					b.away.Store(true)
					time.AfterFunc(tt.away, func() { b.away.Store(false) })
				}
				if tt.bad && once {
					return gate.Bad
				}
				return gate.Good
			}
			end, err := Start(t.Context(), b.options(w), plan())
			if end != tt.end || !errors.Is(err, tt.err) {
				t.Fatalf("%q, %v; events %v", end, err, w.events)
			}
			if !errors.Is(tt.err, ErrStuck) && errors.Is(err, ErrStuck) {
				t.Errorf("nothing had to go back: %v", err)
			}
			w.want(tt.want)
			if tt.then != "" {
				time.Sleep(tt.away) //nolint:forbidigo // virtual time
				if tt.bad {
					w.script = func(gate.At, int) gate.Verdict { return gate.Bad }
				}
				end, err = w.start(plan())
				w.ends(tt.then, end, err)
			}
		})
	}
}

// TestUnclear: at each write, the bucket once gives no answer, before or after it has written. The rollout ends as if it
// had answered.
func TestUnclear(t *testing.T) {
	for _, bad := range []bool{false, true} {
		for _, written := range []bool{false, true} {
			for n, reached := 1, true; reached; n++ {
				test(t, fmt.Sprintf("%t %t %d", bad, written, n), func(t *testing.T) {
					w, b, left := newWorld(t, "all", "canary", "early"), &faulty{}, n
					b.put = func(_ string, write func() error) error {
						if left--; left != 0 {
							return write()
						}
						if written {
							if err := write(); err != nil {
								return err
							}
						}
						return errGone
					}
					w.script = func(at gate.At, _ int) gate.Verdict {
						if bad && at.Want["all"] > 0 && len(at.New) == 3 {
							return gate.Bad
						}
						return gate.Good
					}
					opt := b.options(w)
					opt.TTL = 10 * time.Minute
					end, err := Start(t.Context(), opt, plan())
					if reached = left <= 0; err != nil && len(w.events) == 0 {
						w.want("all=old canary=old early=old") // before it began: it may give up
						return
					}
					if bad {
						w.ends(EndUndone, end, err)
						w.want("all=old canary=old early=old")
					} else {
						w.ends(EndDone, end, err)
						w.want("all=new canary=new early=new")
					}
				})
			}
		}
	}
}

// TestWayBackFails: when a ring cannot be taken back, the others are, and the error says that it failed. The next run
// takes the rest back.
func TestWayBackFails(t *testing.T) {
	for name, tt := range map[string]struct {
		why   error
		least time.Duration // how long it is tried
	}{"no answer": {errGone, 5 * time.Minute}, "not permitted": {store.ErrDenied, 0}} {
		test(t, name, func(t *testing.T) {
			w, b := newWorld(t, "all", "canary", "early"), &faulty{}
			var since time.Time
			w.script = func(at gate.At, _ int) gate.Verdict {
				if at.Want["early"] == 0 {
					return gate.Good
				}
				if since.IsZero() {
					since = time.Now()
				}
				return gate.Bad
			}
			b.put = func(key string, write func() error) error {
				if key == publication.HeadName("canary") && !since.IsZero() {
					return tt.why
				}
				return write()
			}
			end, err := Start(t.Context(), b.options(w), plan())
			if !errors.Is(err, ErrStuck) || !strings.Contains(err.Error(), "gate g: scripted") || !strings.Contains(err.Error(), "ring canary") {
				t.Fatal(end, err)
			}
			if took := time.Since(since); took < tt.least || took > tt.least+2*time.Minute {
				t.Errorf("it tried for %s", took)
			}
			w.want("all=old canary=new early=old")
			end, err = w.start(plan())
			w.ends(EndUndone, end, err)
			w.want("all=old canary=old early=old")
		})
	}
}

// TestForgedHead: a head that nobody has signed stops nothing but its own ring.
func TestForgedHead(t *testing.T) {
	test(t, "abort", func(t *testing.T) {
		w := newWorld(t, "all", "canary", "early")
		end, err := w.start(plan("early"))
		w.ends(EndPaused, end, err)
		head := filepath.Join(w.dir, publication.HeadName("all"))
		if err := os.WriteFile(head, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
		if end, err := Abort(t.Context(), w.options(w.bucket()), "enough"); !errors.Is(err, ErrStuck) || !strings.Contains(err.Error(), "ring all") {
			t.Fatal(end, err)
		}
		if err := os.Remove(head); err != nil {
			t.Fatal(err)
		}
		w.want("canary=old early=old")
	})
}

// TestLeaseLost: a run whose lease another one took writes nothing more.
func TestLeaseLost(t *testing.T) {
	test(t, "lost", func(t *testing.T) {
		w := newWorld(t, "all", "canary", "early")
		other := lease.New(lease.Options{Prefix: leasePrefix, Name: "rollout", Who: "other", TTL: 30 * time.Second})
		defer other.Release(context.Background())
		once := false
		w.script = func(_ gate.At, n int) gate.Verdict {
			if n == 2 && !once {
				once = true
				if err := os.RemoveAll(filepath.Join(w.dir, leasePrefix)); err != nil {
					t.Error(err)
				}
				if err := other.Take(context.Background(), w.bucket()); err != nil {
					t.Error(err)
				}
				other.Keep(context.Background(), func(err error) { t.Error(err) })
			}
			return gate.Good
		}
		opt := w.options(w.bucket())
		opt.TTL = 0
		end, err := Start(t.Context(), opt, plan())
		if !errors.Is(err, lease.ErrHeld) {
			t.Fatal(end, err)
		}
		w.want("all=old canary=new early=old")
		other.Release(t.Context())
		end, err = w.start(plan())
		w.ends(EndDone, end, err)
	})
}

// TestClocks: the clock of the machine that goes on differs from that of the machine that published.
func TestClocks(t *testing.T) {
	for name, tt := range map[string]struct {
		ahead time.Duration
		err   error
	}{"an hour behind": {time.Hour, ErrClock}, "a little behind": {5 * time.Second, nil}, "an hour ahead": {-time.Hour, nil}} {
		test(t, name, func(t *testing.T) {
			w := newWorld(t, "all", "canary", "early")
			w.script = func(gate.At, int) gate.Verdict { return gate.None }
			end, err := w.start(plan())
			w.ends(EndNoVerdict, end, err)
			st, err := ReadState(t.Context(), w.bucket(), w.site(w.bucket()).Trust)
			if err != nil {
				t.Fatal(err)
			}
			st.Published = time.Now().Add(tt.ahead)
			if err := st.write(t.Context(), w.bucket(), signer); err != nil {
				t.Fatal(err)
			}
			w.script = func(gate.At, int) gate.Verdict { return gate.Good }
			began := time.Now()
			end, err = w.start(plan())
			if end, took := end, time.Since(began); tt.err == nil && (end != EndDone || took < 3*time.Minute) {
				t.Errorf("three steps of a minute took %s: %q, %v", took, end, err)
			}
			if !errors.Is(err, tt.err) {
				t.Errorf("%v, want %v", err, tt.err)
			}
			if tt.err != nil { // it can be taken back all the same
				end, err = Abort(t.Context(), w.options(w.bucket()), "")
				w.ends(EndUndone, end, err)
				w.want("all=old canary=old early=old")
			}
		})
	}
}

// TestPauseBeforeFirst: a human lets the first step begin too, once.
func TestPauseBeforeFirst(t *testing.T) {
	test(t, "canary and all", func(t *testing.T) {
		w := newWorld(t, "all", "canary", "early")
		end, err := w.start(plan("canary", "all"))
		w.ends(EndPaused, end, err)
		w.want("all=old canary=old early=old")
		end, err = Resume(t.Context(), w.options(w.bucket()))
		w.ends(EndPaused, end, err)
		w.want("all=old canary=new early=new")
		end, err = Resume(t.Context(), w.options(w.bucket()))
		w.ends(EndDone, end, err)
		w.want("all=new canary=new early=new")
	})
}

// TestBadAfterPause: the step before the pause is judged again, for nobody watched during the pause.
func TestBadAfterPause(t *testing.T) {
	test(t, "bad", func(t *testing.T) {
		w := newWorld(t, "all", "canary", "early")
		end, err := w.start(plan("all"))
		w.ends(EndPaused, end, err)
		w.script = func(gate.At, int) gate.Verdict { return gate.Bad }
		end, err = Resume(t.Context(), w.options(w.bucket()))
		w.ends(EndUndone, end, err)
		w.want("all=old canary=old early=old")
	})
}

// TestRefreshed: somebody signs the heads again just when the rollout publishes. That is no other publication.
func TestRefreshed(t *testing.T) {
	test(t, "publish", func(t *testing.T) {
		w, b, once := newWorld(t, "all", "canary", "early"), &faulty{}, false
		b.put = func(key string, write func() error) error {
			if key == publication.HeadName("early") && !once {
				once = true
				site := w.site(w.bucket())
				st, err := site.Read(context.Background())
				if err == nil {
					err = site.Refresh(context.Background(), st, nil, signer, nil)
				}
				if err != nil {
					t.Error(err)
				}
			}
			return write()
		}
		end, err := Start(t.Context(), b.options(w), plan())
		w.ends(EndDone, end, err)
		w.want("all=new canary=new early=new")
	})
}

// cut is a Prometheus that knows an instance in each ring, with what was published last, until it is away.
type cut struct {
	w    *world
	away atomic.Bool
}

func (c *cut) Query(_ context.Context, expr string, _ time.Time) (out []prometheus.Sample, err error) {
	if c.away.Load() {
		return nil, errors.New("connection refused")
	}
	if !strings.Contains(expr, "ociproxy_config_info") {
		return []prometheus.Sample{{Value: 0}}, nil
	}
	site := c.w.site(c.w.bucket())
	st, err := site.Read(context.Background())
	if err != nil {
		return nil, err
	}
	for ring, h := range st.Heads {
		out = append(out, prometheus.Sample{Labels: map[string]string{"instance": ring, "ring": ring, "generation": fmt.Sprint(h.Generation)}, Value: 1})
	}
	return out, nil
}

// TestPrometheusAway: nothing is published that cannot be judged. When Prometheus is away later, the present step stays:
// it is neither widened nor taken back.
func TestPrometheusAway(t *testing.T) {
	for name, since := range map[string]int{"from the beginning": 0, "after the first step": 1} {
		test(t, name, func(t *testing.T) {
			w := newWorld(t, "all", "canary", "early")
			prom, steps := &cut{w: w}, 0
			prom.away.Store(since == 0)
			opt := w.options(w.bucket())
			opt.NewJudge = func(b map[string][]string) Judge { return gate.NewJudge(opt.Gates, prom, b) }
			tell := opt.Tell
			opt.Tell = func(ctx context.Context, e Event) {
				if e.Event == "pass" {
					steps++
					prom.away.Store(steps == since)
				}
				tell(ctx, e)
			}
			end, err := Start(t.Context(), opt, plan())
			if since == 0 {
				if err == nil || !strings.Contains(err.Error(), "gate g, before the first step: connection refused") {
					t.Fatal(end, err)
				}
				w.want("all=old canary=old early=old")
				return
			}
			w.ends(EndNoVerdict, end, err)
			w.want("all=old canary=new early=new")
			prom.away.Store(false)
			end, err = Start(t.Context(), opt, plan())
			w.ends(EndDone, end, err)
		})
	}
}
