package override

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/publication"
)

// round is one look at the overrides and the probes.
type round struct {
	after   time.Duration
	o       *publication.Overrides
	p       Proof
	percent string // of va; "" when it does not come back
}

func play(t *testing.T, cfg *config.Config, rounds []round) {
	t.Helper()
	var r Returns
	now := noon
	for i, step := range rounds {
		now = now.Add(step.after)
		r.Judge("va", step.p, now)
		e := Apply(cfg, step.o, now)
		r.Follow(&e, step.o, now)
		var got []string
		for _, b := range r.List() {
			got = append(got, fmt.Sprint(b.Percent))
		}
		if strings.Join(got, " ") != step.percent {
			t.Fatalf("round %d: %q, want %q", i, got, step.percent)
		}
	}
}

func good(n int) Proof { return Proof{Good: n, Complete: true, Usable: true} }

func TestReturnInSteps(t *testing.T) {
	held, none := document(off("va")), document()
	play(t, load(t), []round{
		{0, none, Proof{}, ""},
		{0, held, Proof{}, ""},
		{time.Minute, none, good(50), "0"}, // what probes said while it was off does not count
		{time.Minute, none, good(4), "0"},
		{time.Second, none, Proof{Good: 20, Usable: true}, "0"},   // no ranges and resumes
		{time.Second, none, Proof{Good: 20, Complete: true}, "0"}, // health keeps it out
		{time.Second, none, good(5), "1"},
		{59 * time.Second, none, good(9), "1"},
		{time.Second, none, good(9), "5"},
		{time.Minute, none, good(9), "5"}, // no probe since
		{time.Second, none, good(10), "25"},
		{time.Minute, none, Proof{Fails: 1, Usable: true}, "0"},
		{time.Hour, none, Proof{Fails: 1, Good: 4, Complete: true, Usable: true}, "0"},
		{time.Second, none, Proof{Fails: 1, Good: 5, Complete: true, Usable: true}, "1"},
		{time.Second, none, Proof{Fails: 1, Good: 6, Complete: true}, "0"}, // health takes it out
		{time.Second, none, Proof{Fails: 1, Good: 7, Complete: true, Usable: true}, "1"},
		{time.Minute, none, Proof{Fails: 1, Good: 8, Complete: true, Usable: true}, "5"},
		{time.Minute, none, Proof{Fails: 1, Good: 9, Complete: true, Usable: true}, "25"},
		{time.Minute, none, Proof{Fails: 1, Good: 10, Complete: true, Usable: true}, "50"},
		{time.Second, held, Proof{Fails: 1, Good: 11, Complete: true, Usable: true}, ""}, // off again
		{time.Hour, none, Proof{}, "0"},
		{time.Second, none, good(5), "1"},
		{time.Minute, none, good(6), "5"},
		{time.Minute, none, good(7), "25"},
		{time.Minute, none, good(8), "50"},
		{time.Minute, none, good(9), ""},
		{time.Hour, none, Proof{Fails: 7}, ""},
	})
}

// An override that ends by itself stays in the document for a while: it begins one return, also on a fresh instance.
func TestReturnAfterTheEnd(t *testing.T) {
	o := document(off("va"))
	rounds := []round{
		{2 * time.Hour, o, Proof{}, "0"},
		{time.Minute, o, good(5), "1"}, {time.Minute, o, good(6), "5"}, {time.Minute, o, good(7), "25"}, {time.Minute, o, good(8), "50"},
		{time.Minute, o, good(9), ""},
		{time.Minute, o, Proof{}, ""},
	}
	play(t, load(t), rounds) // a fresh instance
	play(t, load(t), append([]round{{0, o, Proof{}, ""}}, rounds...))
	play(t, load(t), []round{{2*time.Hour + Recently, o, Proof{}, ""}})
}

// A candidate of which no object is known cannot be proven, and must not stay out forever.
func TestReturnWithNothingToProbe(t *testing.T) {
	play(t, load(t), []round{
		{0, document(off("va")), Proof{}, ""},
		{0, document(), Proof{}, "0"},
		{0, document(), Proof{Blank: 4, Usable: true}, "0"},
		{0, document(), Proof{Blank: 5, Usable: true}, "1"},
		{time.Minute, document(), Proof{Blank: 9, Usable: true}, "5"},
		{time.Minute, document(), Proof{Good: 1, Usable: true}, "5"}, // clients found objects: they are probed
		{time.Minute, document(), good(5), "25"},
	})
}

// What the config itself keeps out does not come back.
func TestNoReturnAgainstTheConfig(t *testing.T) {
	cfg := load(t)
	play(t, cfg, []round{{0, document(off("old"), drain("old")), Proof{}, ""}, {3 * time.Hour, document(off("old")), Proof{}, ""}})
	var r Returns
	e := Apply(cfg, document(off("va")), noon)
	r.Follow(&e, document(off("va")), noon)
	e = Apply(cfg, document(), noon)
	r.Follow(&e, document(), noon)
	next := *cfg
	next.Stores = nil // a reload
	e = Apply(&next, document(), noon)
	if r.Follow(&e, document(), noon); len(r.List()) != 0 {
		t.Errorf("it follows %v", r.List())
	}
}

func TestHold(t *testing.T) {
	cfg := load(t)
	at := Hold(cfg, []Return{{Name: "va"}, {Name: "eu", Percent: 1}, {Name: "zz"}})
	if at.Stores[0].State != config.Off || at.Upstreams[1].State != config.Active || cfg.Stores[0].State != config.Active {
		t.Errorf("va %s, eu %s, va itself %s", at.Stores[0].State, at.Upstreams[1].State, cfg.Stores[0].State)
	}
}
