package gate

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/prometheus"
	"ociproxy/internal/wait"
)

// nothing is a Prometheus that knows nothing.
var nothing = script(func(string) ([]prometheus.Sample, error) { return nil, nil })

// shell is a file of gates with one command: a script of sh.
func shell(t *testing.T, text string, keys ...string) *File {
	t.Helper()
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return parse(t, fmt.Sprintf("gates: [{name: c, command: [sh, %q], %s}]", file, strings.Join(keys, ", ")))
}

// ended evaluates until the command has a result.
func ended(t *testing.T, j *Judge, at At) Result {
	t.Helper()
	for began := time.Now(); time.Since(began) < time.Minute; _ = wait.For(t.Context(), 5*time.Millisecond) {
		if r := j.Evaluate(t.Context(), at).Results[0]; r.Detail != notEnded {
			return r
		}
	}
	t.Fatal("the command does not end")
	return Result{}
}

// report is the report of a probe with an error for each host, and a warning.
func report(hosts ...string) string {
	all := []string{`{"check":"blob.speed","as":"self","host":"slow","result":"warning"}`, `{"check":"blob.get","as":"aws","result":"ok"}`}
	for _, h := range hosts {
		all = append(all, `{"check":"blob.get","as":"aws","image":"app:1","host":"`+h+`","result":"error"}`)
	}
	return "echo '{\"findings\":[" + strings.Join(all, ",") + "]}'\n"
}

// TestCommand: what each end of a command says.
func TestCommand(t *testing.T) {
	for name, tt := range map[string]struct {
		script string
		keys   string
		want   Verdict
		detail string
	}{
		"exit code 0":                 {"exit 0", "timeout: 1m", Good, "exit code 0"},
		"exit code 1":                 {"echo it is slow >&2; exit 1", "timeout: 1m", Bad, "sh: exit status 1: it is slow"},
		"exit code 2":                 {"exit 2", "timeout: 1m", None, "sh: exit status 2"},
		"killed":                      {"kill -9 $$", "timeout: 1m", None, "sh: signal: killed"},
		"too late":                    {"sleep 60", "timeout: 100ms", None, "sh: within 100ms: it did not end in time and was killed"},
		"late with a report":          {report() + "sleep 60", "timeout: 500ms", None, "sh: within 500ms: it did not end in time and was killed"},
		"too much output":             {report() + "head -c 16777217 /dev/zero | tr '\\0' ' '", "timeout: 1m", None, "sh: it wrote too much and was killed"},
		"a report, all well":          {report(), "timeout: 1m", Good, "no new failure, 1 as before"},
		"a report, exit code 4":       {report() + "exit 4", "timeout: 1m", Good, "no new failure, 1 as before"},
		"what failed before":          {report("known") + "exit 1", "timeout: 1m", Good, "no new failure, 1 as before"},
		"what did not fail before":    {report("known", "new"), "timeout: 1m", Bad, "1 new failures: blob.get as aws new app:1"},
		"another JSON":                {"echo '{\"errors\": 3}'; exit 1", "timeout: 1m", Bad, "sh: exit status 1"},
		"a report that is cut":        {"echo '{\"findings\":[{\"check\":'; exit 1", "timeout: 1m", Bad, "sh: exit status 1"},
		"it learns what is rolled":    {`test "$OCI_PROXY_ROLLOUT_RINGS" = canary && test "$OCI_PROXY_ROLLOUT_GENERATION" = 7`, "timeout: 1m", Good, "exit code 0"},
		"several failures, bounded":   {report("b", "a", "c", "f", "e", "d", "a"), "timeout: 1m", Bad, "6 new failures: blob.get as aws a app:1; blob.get as aws b app:1; blob.get as aws c app:1; blob.get as aws d app:1; blob.get as aws e app:1"},
		"children are killed as well": {"sleep 60 & sleep 60", "timeout: 100ms", None, "sh: within 100ms: it did not end in time and was killed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := NewJudge(shell(t, tt.script, tt.keys), nothing, map[string][]string{"c": {"blob.get as aws known app:1"}})
			defer j.Close()
			if r := ended(t, j, step()); r.Verdict != tt.want || r.Detail != tt.detail {
				t.Errorf("%s: %s, want %s: %s", r.Verdict, r.Detail, tt.want, tt.detail)
			}
		})
	}
}

// TestCommandIsMissing: a program that is not there says nothing about the change.
func TestCommandIsMissing(t *testing.T) {
	j := NewJudge(parse(t, "gates: [{name: c, command: [/nonexistent/probe]}]"), nothing, nil)
	defer j.Close()
	if r := ended(t, j, step()); r.Verdict != None {
		t.Errorf("%+v", r)
	}
	if _, err := j.Baseline(t.Context(), step()); err == nil || !strings.Contains(err.Error(), "gate c, before the first step") {
		t.Error(err)
	}
}

// TestCommandRunsAgain: one run at a time, the next after every. A run that began before the step says nothing of it.
func TestCommandRunsAgain(t *testing.T) {
	dir := t.TempDir()
	f := shell(t, `mkdir "`+dir+`/busy" || exit 1; echo >>"`+dir+`/runs"; sleep 0.05; rmdir "`+dir+`/busy"`, "every: 1ms")
	j := NewJudge(f, nothing, nil)
	defer j.Close()
	at := step()
	first := ended(t, j, at)
	if first.Verdict != Good || first.At.Before(at.Published) {
		t.Fatal(first)
	}
	if began, err := os.Stat(filepath.Join(dir, "runs")); err != nil || first.At.After(began.ModTime().Add(25*time.Millisecond)) {
		t.Errorf("the result is of %s, the end of the run and not its beginning; %v", first.At, err)
	}
	second := first
	for began := time.Now(); second.At.Equal(first.At) && time.Since(began) < time.Minute; _ = wait.For(t.Context(), time.Millisecond) {
		second = j.Evaluate(t.Context(), at).Results[0]
	}
	if second.At.Equal(first.At) || second.Verdict != Good {
		t.Fatalf("%+v after %+v", second, first)
	}
	at.Published = time.Now()
	if r := j.Evaluate(t.Context(), at).Results[0]; r.Verdict != None || r.Detail != notEnded {
		t.Errorf("a run from before the step counts: %+v", r)
	}
	if r := ended(t, j, at); r.Verdict != Good || r.At.Before(at.Published) {
		t.Errorf("%+v", r)
	}
}

// TestCommandWaits: the next run begins only after every.
func TestCommandWaits(t *testing.T) {
	j := NewJudge(shell(t, "exit 0", "every: 1h"), nothing, nil)
	defer j.Close()
	first := ended(t, j, step())
	ended(t, j, step())
	j.Close()
	if r := j.run[0]; !r.begun.Equal(first.At) {
		t.Error("it ran again")
	}
}

// TestClose ends a command that still runs.
func TestClose(t *testing.T) {
	j := NewJudge(shell(t, "sleep 600", "timeout: 10m"), nothing, nil)
	if r := j.Evaluate(t.Context(), step()).Results[0]; r.Verdict != None {
		t.Error(r)
	}
	j.Close()
}

// TestBaseline: what fails before the change is known, and a command without a report must be good then.
func TestBaseline(t *testing.T) {
	j := NewJudge(shell(t, report("b", "a")+"exit 1"), nothing, nil)
	defer j.Close()
	got, err := j.Baseline(t.Context(), step())
	if err != nil || strings.Join(got["c"], ", ") != "blob.get as aws a app:1, blob.get as aws b app:1" {
		t.Fatal(got, err)
	}
	if r := ended(t, j, step()); r.Verdict != Good || r.Detail != "no new failure, 2 as before" {
		t.Error(r)
	}
	for script, want := range map[string]string{"exit 0": "", "exit 1": "gate c, before the first step: sh: exit status 1"} {
		j := NewJudge(shell(t, script), nothing, nil)
		_, err := j.Baseline(t.Context(), step())
		if got := fmt.Sprint(err); got != want && (want != "" || err != nil) {
			t.Errorf("%s: %v, want %q", script, err, want)
		}
	}
}
