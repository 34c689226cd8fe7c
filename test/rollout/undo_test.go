package rollout

import (
	"errors"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/cli"
	"ociproxy/test/ctl"
	"ociproxy/test/parts"
)

// TestSlowUndone: a store that harms clients is switched on for the canary. The gates take it back, without a person.
func TestSlowUndone(t *testing.T) {
	if !begin(t) {
		return
	}
	w, c := deployed(t)
	file := w.write(t, "cdn", w.configuration(storeCDN))
	good, bad := hash(t, w.write(t, "good", w.configuration(storeUS, storeAz))), hash(t, file)
	for _, f := range []struct {
		name, fault string
		later       bool // the store works until the canary uses it
		gates       []string
	}{
		// Health reads as a client that resumes does, so a store that refuses that from the start gets no client.
		{"400 to resumes, seen by the probe or by health", faultResume, true, []string{gateProbe, gateUsable}},
		{"one cloud gets 403, seen by repeats", faultAzure, false, []string{gateRepeats}},
		{"one cloud gets 403, seen by the store", faultAzure, false, []string{gateStore}},
		{"dead, seen by any", faultDead, true, nil},
	} {
		t.Run(f.name, func(t *testing.T) {
			parts.Poll(t, ctl.Limit, "traffic before", func() error { return w.uses(good) })
			gates := w.gates(t, "gates", w.judges(t, f.gates...))
			began := time.Now()
			if !f.later {
				w.fault(t, storeCDN, f.fault)
			}
			r := ctl.Start(t, w.env(production, "ci"), "rollout", file, "--rings", "canary,early,all", "--gates", gates, "--why", f.name, "--output", "json")
			w.begun(t, bad, "canary")
			if f.later {
				parts.Poll(t, 2*time.Minute, "the store serves", func() error {
					if of, _ := c.share(began, home, storeCDN); of == 0 {
						return errors.New("no client was sent there")
					}
					return nil
				})
				w.fault(t, storeCDN, f.fault)
			}
			harmful := time.Now()
			parts.Poll(t, 2*ctl.Limit, "taken back", func() error { return w.uses(good) })
			undone := time.Now()
			ran := r.Wait(t, ctl.Limit)
			if ran.Code != cli.CodeUndone {
				t.Fatal(ran)
			}
			w.fault(t, storeCDN, "")
			all, canary := c.tally(began), c.tally(began, "canary-1")
			switch {
			case canary.first > 0:
				harmful = canary.firstAt
			case !f.later: // where the store died under way, a gate may see that before the next pull
				t.Fatalf("no pull noticed it, so this proves nothing: %s; why: %s", all, reason(t, ran.Stdout))
			}
			took := undone.Sub(harmful)
			t.Logf("%s: undone everywhere %.0f s after it did harm; all: %s; through the canary: %s", f.name, took.Seconds(), all, canary)
			t.Logf("why: %s; for example %v", reason(t, ran.Stdout), canary.examples())
			if others := c.tally(began, "early-1", "all-1", "all-2"); others.by(storeCDN) > 0 {
				t.Errorf("it harmed clients where it was not published: %v", others.failing)
			} else if others.first > 0 {
				t.Logf("failures elsewhere, not by the store: %v", others.failing)
			}
			if canary.failed > 0 {
				t.Errorf("failed in the end: %v", canary.examples())
			}
			if took > 4*time.Minute { // the promise is two; this machine may be busy
				t.Errorf("it took %s", took)
			}
		})
	}
}

// reason returns why a rollout went back, from its events.
func reason(t *testing.T, events string) string {
	t.Helper()
	for line := range strings.Lines(events) {
		if e := ctl.Decode[struct{ Event, Detail string }](t, line); e.Event == "undo" {
			return e.Detail
		}
	}
	t.Errorf("no event undo:\n%s", events)
	return ""
}
