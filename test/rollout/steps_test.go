package rollout

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/cli"
	"ociproxy/internal/envelope"
	"ociproxy/internal/rollout"
	"ociproxy/test/ctl"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// Gates that flap. The first is bad once in ten evaluations, which is less than takes a change back.
const (
	flapping = "gates:\n- {name: flaps, expr: 'vector(time() % 20 < bool 2)', max: 0.5, quiet: true}\n"
	unsteady = "gates:\n- {name: unsteady, expr: 'vector(time() % 8 < bool 4)', max: 0.5, quiet: true}\n"
)

// leaseName is the prefix of the lease in the publication's bucket.
const leaseName = "lease"

// operator is the operators of production, who roll out the same file.
type operator struct {
	*world
	t           *testing.T
	file, gates string
	rings       string
	more        []string
}

// start begins the rollout, or goes on.
func (o *operator) start() *ctl.Running {
	return ctl.Start(o.t, o.env(production, "ci"), append([]string{"rollout", o.file, "--rings", o.rings, "--gates", o.gates, "--why", "test", "--output", "json"}, o.more...)...)
}

// run runs the rollout to its end, which must be the code.
func (o *operator) run(code int) ctl.Ran {
	o.t.Helper()
	return o.ends(o.start(), code)
}

// other runs rollout with --resume or --abort.
func (o *operator) other(flag string) *ctl.Running {
	return ctl.Start(o.t, o.env(production, "ci"), "rollout", flag, "--gates", o.gates, "--why", "test", "--output", "json")
}

func (o *operator) ends(r *ctl.Running, code int) ctl.Ran {
	o.t.Helper()
	ran := r.Wait(o.t, 5*time.Minute)
	if ran.Code != code {
		o.t.Fatalf("want exit code %d: %s", code, ran)
	}
	return ran
}

// kill kills a run when its state in the bucket is as wanted. Nobody else can begin until its lease has ended. To save that
// time, kill can free it.
func (o *operator) kill(r *ctl.Running, free bool, when string, is func(s *rollout.State) bool) {
	o.t.Helper()
	parts.Poll(o.t, time.Minute, when, func() error {
		if s := o.state(); s == nil || !is(s) {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	r.Signal(os.Kill)
	if ran := r.Wait(o.t, time.Minute); ran.Code != -1 {
		o.t.Fatalf("%s: it had ended: %s", when, ran)
	}
	s := o.state()
	o.t.Logf("killed %s: phase %s, step %d", when, s.Phase, s.Step+1)
	if free {
		files, err := os.ReadDir(o.world.file(leaseName))
		if err != nil || len(files) != 1 {
			o.t.Fatal(files, err)
		}
		o.remove(o.t, leaseName+"/"+files[0].Name())
	}
}

// state returns the state in the bucket; nil: there is none.
func (o *operator) state() *rollout.State {
	text, err := os.ReadFile(o.world.file(rollout.StateName))
	if err != nil {
		return nil
	}
	c, err := envelope.Peek(text)
	if err != nil {
		return nil // it is being written
	}
	var s rollout.State
	if err := json.Unmarshal(c.Payload, &s); err != nil {
		o.t.Fatal(err)
	}
	return &s
}

// TestSlowSteps: a rollout is killed at each step and goes on elsewhere, waits for a human, is taken back, and gives a
// store its clients in steps. A flapping gate or an absent instance takes it back, and without traffic it stays.
func TestSlowSteps(t *testing.T) {
	if !begin(t) {
		return
	}
	w, c := deployed(t)
	w.hurry(t)
	began := time.Now()
	weight := 1
	next := func(t *testing.T, gates string, rings string, more ...string) *operator {
		weight++
		file := w.write(t, fmt.Sprintf("next%d", weight), w.configuration(storeUS, storeAz).With(proxy.Map{"route": proxy.Map{"costWeight": weight}}))
		return &operator{world: w, t: t, file: file, gates: gates, rings: rings, more: more}
	}
	step := func(name string, f func(*testing.T)) {
		if !t.Failed() {
			t.Run(name, f)
		}
	}
	steady := w.gates(t, "flapping", flapping, "window: 10s", "window: 5s", "soak: 20s", "soak: 5s")
	publishing := func(s *rollout.State) bool { return s.Phase == rollout.Publishing }

	step("killed at each step", func(t *testing.T) {
		o := next(t, steady, "canary,early,all", "--pause-before", "all")
		is := hash(t, o.file)

		w.fault(t, "config", faultHeads)
		r := o.start()
		parts.Poll(t, time.Minute, "the first has begun", func() error {
			if s := o.state(); s == nil {
				return errors.New("no state")
			}
			return nil
		})
		o.run(cli.CodeHeld) // two at once
		o.kill(r, false, "while it publishes", publishing)
		w.fault(t, "config", "")
		r = o.start() // it waits until the lease has ended
		o.kill(r, true, "while it waits for the instances", func(s *rollout.State) bool { return s.Phase == rollout.Watching })
		r = o.start()
		o.kill(r, true, "while it soaks", func(*rollout.State) bool {
			leases, err := os.ReadDir(o.world.file(leaseName)) // that of the run before is gone
			return err == nil && len(leases) == 1 && w.uses(is, "canary") == nil
		})
		w.fault(t, "config", faultHeads)
		r = o.start()
		o.kill(r, true, "between two rings", func(s *rollout.State) bool { return publishing(s) && s.Step == 1 })
		w.fault(t, "config", "")
		o.run(cli.CodePaused)
		if err := errors.Join(w.uses(is, "canary"), w.uses(is, "early")); err != nil {
			t.Error(err)
		}
		if w.uses(is, "all") == nil {
			t.Error("it did not wait for a human")
		}
		o.ends(o.other("--resume"), cli.CodeOK)
		if err := w.uses(is); err != nil {
			t.Error(err)
		}
	})
	step("killed while it goes back", func(t *testing.T) {
		o := next(t, steady, "canary,early", "--pause-before", "early")
		was, is := hash(t, w.path("next2")), hash(t, o.file)
		o.run(cli.CodePaused)
		if err := w.uses(is, "canary"); err != nil {
			t.Error(err)
		}
		w.fault(t, "config", faultHeads)
		o.kill(o.other("--abort"), true, "while it goes back", func(s *rollout.State) bool { return s.Phase == rollout.Undoing })
		w.fault(t, "config", "")
		o.ends(o.other("--abort"), cli.CodeUndone)
		if err := w.uses(was); err != nil {
			t.Error(err)
		}
	})
	step("a store in steps", func(t *testing.T) {
		o := next(t, steady, "canary,early,all", "--store", storeAz, "--steps", "50,100")
		r := o.start()
		parts.Poll(t, 2*time.Minute, "the first step is in effect", func() error {
			s := o.state()
			if s == nil || s.Step > 0 || s.Ended() {
				return fmt.Errorf("%+v", s)
			}
			return w.uses(s.Steps[0].SHA256)
		})
		since := time.Now()
		parts.Poll(t, 2*time.Minute, "the second step", func() error {
			if s := o.state(); s.Step == 0 {
				return fmt.Errorf("%+v", s)
			}
			return nil
		})
		of, all := c.share(since, amsterdam, storeAz)
		t.Logf("at 50 %% the store served %d of %d layers", of, all)
		if of == 0 || of == all {
			t.Errorf("the store served %d of %d layers", of, all)
		}
		o.ends(r, cli.CodeOK)
	})
	step("a gate that flaps too much", func(t *testing.T) {
		o := next(t, w.gates(t, "unsteady", unsteady), "canary")
		ran := o.run(cli.CodeUndone)
		if why := reason(t, ran.Stdout); !strings.Contains(why, "unsteady") {
			t.Error(why)
		}
	})
	step("an instance never comes up", func(t *testing.T) {
		w.instance("early-1").kill(t)
		o := next(t, w.gates(t, "absent", flapping, "within: 45s", "within: 20s", "stale: 20s", "stale: 5s"), "early,all")
		ran := o.run(cli.CodeUndone)
		if why := reason(t, ran.Stdout); !strings.Contains(why, "early 0 of 1") {
			t.Error(why)
		}
	})
	w.follow(t, w.instance("early-1"))
	if s := c.tally(began, "canary-1", "all-1", "all-2"); s.first > 0 || s.pulls == 0 {
		t.Errorf("%s: %v", s, s.examples())
	} else {
		t.Logf("clients: %s", s)
	}
	c.leave()
	step("no traffic", func(t *testing.T) {
		o := next(t, w.gates(t, "quiet", w.judges(t, gateRepeats, gateUsable), "limit: 3m", "limit: 30s", "within: 45s", "within: 20s", "soak: 20s", "soak: 10s"), "canary,early")
		ran := o.run(cli.CodeNoVerdict)
		if w.uses(hash(t, o.file), "early") == nil {
			t.Error("it was widened without a verdict")
		}
		t.Log(ending(ran.Stdout))
	})
	var actions []string
	for line := range strings.Lines(w.ctl(t, production, "ci", "config", "log", "--output", "json").Stdout) {
		if strings.Contains(line, `"rollout `) {
			actions = append(actions, line)
		}
	}
	for _, action := range []string{"begin", "resume", "publish", "effect", "pass", "paused", "undo", "undone", "done", "no-verdict"} {
		if !slices.ContainsFunc(actions, func(line string) bool { return strings.Contains(line, `"rollout `+action+`"`) }) {
			t.Errorf("the audit log has no %q", action)
		}
	}
}

// ending returns the detail of the last event.
func ending(events string) (detail string) {
	for line := range strings.Lines(events) {
		var e rollout.Event
		if json.Unmarshal([]byte(line), &e) == nil {
			detail = e.Detail
		}
	}
	return detail
}
