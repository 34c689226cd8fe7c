package gates

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/cli"
	"ociproxy/internal/key"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publicationtest"
	"ociproxy/test/ctl"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// times are those of a test. The instances have a step within some seconds: the test lets them look for it.
const times = `version: 1
every: 1s
window: 4s
soak: 4s
limit: 64s
good: 2
bad: 2
of: 5
instances: {match: 'job="oci-proxy"', stale: 10s, within: 60s}
`

// The gates of the tests.
const (
	good    = "gates:\n- {name: always, expr: vector(0), max: 1, quiet: true}\n"
	bad     = "gates:\n- {name: harm, expr: 'count(ociproxy_config_info * $new)', max: 0, quiet: true}\n"
	unknown = "gates:\n- {name: nothing, expr: 'absent_over_time(up[4s])', max: 1, quiet: true}\n"
	frozen  = good + "freeze: [{why: no changes, from: 2020-01-01, until: 2120-01-01}]\n"
)

// event is a line of rollout --output json.
type event struct {
	Event, Rollout, Label, Detail string
	Step, Steps                   int
	Generation                    uint64
}

// events reads the lines of --output json.
func events(t *testing.T, text string) (out []event) {
	t.Helper()
	for line := range strings.Lines(text) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if e.Event != "watch" {
			out = append(out, e)
		}
	}
	return out
}

// story is the events in one line.
func story(all []event) string {
	var words []string
	for _, e := range all {
		words = append(words, fmt.Sprintf("%s %d", e.Event, e.Step))
	}
	return strings.Join(words, ", ")
}

// TestSlowRollout runs the program through each of its ends: a store in steps to the ring of a real instance, judged on a
// real Prometheus.
func TestSlowRollout(t *testing.T) {
	parts.Slow(t)
	w := newWorld(t)
	defer w.follow(t)()
	configKey := w.keyFile(t)
	env := []string{
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test-secret", "OCI_PROXY_PUBLICATION=" + w.url, "OCI_PROXY_KEY=" + configKey,
		"OCI_PROXY_DEPLOYMENT=" + publicationtest.Deployment, "OCI_PROXY_CONFIG_KEYS=" + key.Format(publicationtest.Root.Public()),
		"OCI_PROXY_PROMETHEUS=" + w.prometheus.URL,
	}
	n := 0
	next := func(gates string) []string { // a config that differs from all before, in two steps
		n++
		c := w.config.With(proxy.Map{"pages": proxy.Map{"home": fmt.Sprintf("https://example.org/%d", n)}})
		return []string{"rollout", w.file(t, "next.yaml", text(t, c)), "--store", "s3", "--steps", "50,100", "--rings", "all",
			"--gates", w.file(t, "gates.yaml", times+gates), "--why", "test", "--output", "json"}
	}
	run := func(t *testing.T, code int, args ...string) (all []event, ran ctl.Ran) {
		t.Helper()
		if ran = ctl.Run(t, ctl.Limit, env, args...); ran.Code != code {
			t.Fatalf("%v: want exit code %d\n%v", args, code, ran)
		}
		return events(t, ran.Stdout), ran
	}
	gates := func(text string) string { return w.file(t, "gates.yaml", times+text) }
	content := func() string { return w.site.State().Heads["all"].SHA256 }

	t.Run("done", func(t *testing.T) {
		all, _ := run(t, cli.CodeOK, next(good)...)
		if got, want := story(all), "begin 1, publish 1, effect 1, pass 1, publish 2, effect 2, pass 2, done 2"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
	t.Run("taken back", func(t *testing.T) {
		was := content()
		all, _ := run(t, cli.CodeUndone, next(bad)...)
		if got, want := story(all), "begin 1, publish 1, effect 1, undo 1, undone 1"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if last := all[len(all)-1]; content() != was || !strings.Contains(last.Detail, "gate harm: 1") || strings.Contains(last.Detail, "not all instances") {
			t.Error(last)
		}
	})
	t.Run("frozen", func(t *testing.T) {
		was := content()
		args := next(frozen)
		all, _ := run(t, cli.CodeFrozen, args...)
		if last := all[len(all)-1]; last.Event != "frozen" || last.Detail != "no changes" || content() != was {
			t.Error(last)
		}
		run(t, cli.CodeUndone, "rollout", "--abort", "--gates", gates(good), "--why", "not today", "--output", "json")
		if content() != was {
			t.Error("it has changed something")
		}
	})
	t.Run("a human, a second run, and abort", func(t *testing.T) {
		was := content()
		args := append(next(good), "--pause-before", "all")
		for range 2 { // the same command does not go on
			all, _ := run(t, cli.CodePaused, args...)
			if last := all[len(all)-1]; last.Event != "paused" || content() != was {
				t.Error(last)
			}
		}
		_, ran := run(t, cli.CodeFailure, next(good)...)
		if !strings.Contains(ran.Stderr, "another rollout has not ended") {
			t.Error(ran)
		}
		// The step after the pause is under way: a second run is refused, Ctrl-C leaves the step, and abort takes it back.
		slow := gates(unknown)
		r := ctl.Start(t, env, "rollout", "--resume", "--gates", slow, "--output", "json")
		parts.Poll(t, time.Minute, "the first step", func() error {
			if content() == was {
				return fmt.Errorf("not published")
			}
			return nil
		})
		_, ran = run(t, cli.CodeHeld, "rollout", "--resume", "--gates", slow, "--output", "json")
		if !strings.Contains(ran.Stderr, "another run is at work") {
			t.Error(ran)
		}
		r.Signal(os.Interrupt)
		if ran := r.Wait(t, time.Minute); ran.Code != cli.CodeFailure || !strings.Contains(ran.Stderr, "interrupted") || content() == was {
			t.Error(ran)
		}
		run(t, cli.CodeUndone, "rollout", "--abort", "--gates", slow, "--why", "enough", "--output", "json")
		if content() != was {
			t.Error("abort has left the new config")
		}
		_, ran = run(t, cli.CodeFailure, "rollout", "--abort", "--gates", slow, "--why", "again", "--output", "json")
		if !strings.Contains(ran.Stderr, "there is no rollout") {
			t.Error(ran)
		}
	})
	t.Run("no verdict, then resumed", func(t *testing.T) {
		all, _ := run(t, cli.CodeNoVerdict, next(unknown)...)
		if last := all[len(all)-1]; last.Event != "no-verdict" || last.Step != 1 || !strings.Contains(last.Detail, "nothing: no data") {
			t.Error(last)
		}
		all, _ = run(t, cli.CodeOK, "rollout", "--resume", "--gates", gates(good), "--output", "json")
		if got, want := story(all), "resume 1, effect 1, pass 1, publish 2, effect 2, pass 2, done 2"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
	t.Run("a probe", func(t *testing.T) {
		was := content()
		probe := func(image string) string {
			return fmt.Sprintf("gates:\n- {name: probe, every: 1s, bad: 1, of: 1, command: [%q, probe, %q, --image, %q, --decisions, --output, json]}\n",
				ctl.Binary(t), w.all.Addr, image)
		}
		c := w.config.With(proxy.Map{"deny": proxy.Map{"repositories": proxy.List{"app"}}})
		run(t, cli.CodeUndone, "rollout", w.file(t, "deny.yaml", text(t, c)), "--rings", "all", "--gates", gates(probe("app:1.0")), "--why", "test", "--output", "json")
		if content() != was {
			t.Error("what the probe has found is still there")
		}
	})
	t.Run("the audit log", func(t *testing.T) {
		log := ctl.Run(t, ctl.Limit, env, "config", "log", "--output", "json").Stdout
		for _, action := range []string{"begin", "publish", "effect", "pass", "done", "undo", "undone", "frozen", "paused", "resume", "no-verdict"} {
			if !strings.Contains(log, `"action":"rollout `+action+`"`) {
				t.Errorf("it has no %s", action)
			}
		}
		if strings.Contains(log, `"rollout watch"`) {
			t.Error("it has evaluations")
		}
	})
	t.Run("without Prometheus", func(t *testing.T) {
		was := content()
		_, ran := run(t, cli.CodeFailure, append(next(good), "--prometheus", "http://127.0.0.1:1")...)
		if !strings.Contains(ran.Stderr, "gate always, before the first step") || content() != was {
			t.Error(ran)
		}
	})
	t.Run("without an audit log", func(t *testing.T) {
		audit := filepath.Dir(w.bucket.File("blobs", "config/audit/x"))
		if err := os.RemoveAll(audit); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(audit, nil, 0o400); err != nil { // a file in the way
			t.Fatal(err)
		}
		_, ran := run(t, cli.CodeOK, next(good)...)
		if !strings.Contains(ran.Stderr, "audit log") {
			t.Error(ran)
		}
	})
	if faults := w.site.State().Faults; len(faults) > 0 {
		t.Error(faults[publication.HeadName("all")])
	}
}
