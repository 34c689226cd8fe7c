package rollout

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"ociproxy/internal/cli"
	"ociproxy/test/ctl"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// flapping is a gate that is bad once in ten evaluations, which is less than takes a change back.
const flapping = `gates:
- {name: flaps, expr: 'vector(time() % 20 < bool 2)', max: 0.5, quiet: true}
`

// TestSlowSteps kills a rollout, runs it again elsewhere, and keeps a second operator away, with a gate that flaps. Then it
// rolls out to an instance that never comes up, and where there is no traffic.
func TestSlowSteps(t *testing.T) {
	if !begin(t) {
		return
	}
	w, c := deployed(t)
	config := func(weight int) string {
		return w.write(t, fmt.Sprintf("next%d", weight), w.configuration(storeUS, storeAz).With(proxy.Map{"route": proxy.Map{"costWeight": weight}}))
	}
	start := func(file, gates, by string) *ctl.Running {
		return ctl.Start(t, w.env(production, "ci"), "rollout", file, "--rings", "canary,early,all", "--gates", gates, "--why", "test", "--by", by, "--output", "json")
	}
	t.Run("killed, and run again elsewhere", func(t *testing.T) {
		file, gates := config(4), w.gates(t, "flapping", flapping)
		is := hash(t, file)
		r := start(file, gates, "first")
		w.begun(t, is, "canary")
		if ran := start(file, gates, "second").Wait(t, time.Minute); ran.Code != cli.CodeHeld {
			t.Errorf("two at once: %s", ran)
		}
		r.Signal(os.Kill)
		r.Wait(t, time.Minute)
		parts.Poll(t, 5*time.Minute, "another run goes on when the lease has ended", func() error {
			switch ran := start(file, gates, "third").Wait(t, 5*time.Minute); ran.Code {
			case cli.CodeHeld:
				return errors.New("held")
			case cli.CodeOK:
			default:
				t.Error(ran)
			}
			return nil
		})
		if err := w.uses(is); err != nil {
			t.Error(err)
		}
	})
	t.Run("an instance never comes up", func(t *testing.T) {
		file := config(3)
		gates := w.gates(t, "absent", flapping)
		early := w.instance("early-1")
		early.process.Signal(t, os.Kill)
		early.process.Wait(t, time.Minute)
		ran := start(file, gates, "absent").Wait(t, 6*time.Minute)
		if ran.Code != cli.CodeUndone {
			t.Errorf("%s", ran)
		}
	})
	c.leave()
	t.Run("no traffic", func(t *testing.T) {
		w.follow(t, w.instance("early-1"))
		file := config(2)
		gates := w.gates(t, "quiet", w.judges(t))
		r := start(file, gates, "quiet")
		ran := r.Wait(t, 6*time.Minute)
		if ran.Code != cli.CodeNoVerdict {
			t.Errorf("%s", ran)
		}
		if err := w.uses(hash(t, file), "early"); err == nil {
			t.Error("it was widened without a verdict")
		}
	})
}
