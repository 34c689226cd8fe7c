package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"ociproxy/internal/command"
)

// runner runs the command of a gate beside the evaluations, again and again.
type runner struct {
	gate  *Gate
	known []string // failures that were there before

	mu     sync.Mutex
	last   Result
	begun  time.Time // of the last run
	busy   bool
	cancel context.CancelFunc
	work   sync.WaitGroup
}

// notEnded is the detail while no run that began after the step has ended.
const notEnded = "it has not ended yet"

// latest returns the result of the last run that began after the step was published, and begins a new run if it is time.
func (r *runner) latest(ctx context.Context, at At) Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); !r.busy && now.Sub(r.begun) >= r.gate.Every {
		r.busy, r.begun = true, now
		var own context.Context
		own, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
		r.work.Go(func() {
			defer r.cancel()
			result := r.once(own, at)
			result.At = now
			r.mu.Lock()
			defer r.mu.Unlock()
			r.last, r.busy = result, false
		})
	}
	if r.last.At.Before(at.Published) || r.last.At.IsZero() {
		return Result{Verdict: None, Detail: notEnded, At: at.Published}
	}
	return r.last
}

func (r *runner) close() {
	r.mu.Lock()
	cancel := r.cancel
	r.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	r.work.Wait()
}

// once runs the command to its end.
func (r *runner) once(ctx context.Context, at At) Result {
	failures, isReport, err := r.execute(ctx, at)
	if isReport {
		fresh := slices.DeleteFunc(failures, func(f string) bool { return slices.Contains(r.known, f) })
		if len(fresh) == 0 {
			return Result{Verdict: Good, Detail: fmt.Sprintf("no new failure, %d as before", len(r.known))}
		}
		return Result{Verdict: Bad, Detail: fmt.Sprintf("%d new failures: %s", len(fresh), strings.Join(fresh[:min(len(fresh), maxMissing)], "; "))}
	}
	if err == nil {
		return Result{Verdict: Good, Detail: "exit code 0"}
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		return Result{Verdict: Bad, Detail: err.Error()}
	}
	return Result{Verdict: None, Detail: err.Error()}
}

// maxFailures bounds what is remembered of one report.
const maxFailures = 1000

// execute runs the command. If its output is a report of a probe, it returns the errors in it.
func (r *runner) execute(ctx context.Context, at At) (failures []string, isReport bool, err error) {
	var generation uint64
	for _, g := range at.New {
		generation = max(generation, g)
	}
	out, err := command.Run(ctx, command.Command{
		Name: r.gate.Command[0], Args: r.gate.Command[1:], Within: r.gate.Timeout, MaxOutput: 16 << 20,
		Env: append(os.Environ(), "OCI_PROXY_ROLLOUT_RINGS="+strings.Join(slices.Sorted(maps.Keys(at.Want)), ","),
			"OCI_PROXY_ROLLOUT_GENERATION="+strconv.FormatUint(generation, 10)),
	})
	if errors.Is(err, command.ErrLate) || errors.Is(err, command.ErrOutput) || ctx.Err() != nil {
		return nil, false, err
	}
	var report struct {
		Findings []struct{ Check, As, Image, Host, Result string } `json:"findings"`
	}
	if json.Unmarshal(out, &report) != nil || report.Findings == nil {
		return nil, false, err
	}
	for _, f := range report.Findings {
		if f.Result == "error" && len(failures) < maxFailures {
			failures = append(failures, strings.TrimSpace(f.Check+" as "+f.As+" "+f.Host+" "+f.Image))
		}
	}
	slices.Sort(failures)
	return slices.Compact(failures), true, nil
}

// Baseline finds out, before the change, whether the gates can be judged at all: Prometheus answers each expression, and
// each command ends well, or with a report. It returns the failures in the reports, by gate.
func (j *Judge) Baseline(ctx context.Context, at At) (map[string][]string, error) {
	x := &expander{file: j.file, at: at, now: time.Now()}
	ask := func(name, expr string) error {
		if _, err := j.values(ctx, x, expr, changed); err != nil {
			return fmt.Errorf("gate %s, before the first step: %w", name, err)
		}
		return nil
	}
	for i := range j.file.Traffic {
		if err := ask(j.file.Traffic[i].Name, j.file.Traffic[i].Expr); err != nil {
			return nil, err
		}
	}
	out := map[string][]string{}
	for i, r := range j.run {
		if r == nil {
			if err := ask(j.file.Gates[i].Name, j.file.Gates[i].Expr); err != nil {
				return nil, err
			}
			continue
		}
		failures, isReport, err := r.execute(ctx, at)
		if !isReport && err != nil {
			return nil, fmt.Errorf("gate %s, before the first step: %w", r.gate.Name, err)
		}
		out[r.gate.Name], r.known = failures, failures
	}
	return out, nil
}
