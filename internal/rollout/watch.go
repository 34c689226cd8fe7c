package rollout

import (
	"context"
	"time"

	"ociproxy/internal/gate"
	"ociproxy/internal/wait"
)

// watch evaluates the gates until the step is good, bad, or out of time. What happened before this call does not count as
// soaked: nobody watched.
func (r *run) watch(ctx context.Context) (End, error) {
	s := r.state
	began, tally := time.Now(), gate.NewTally(r.Gates)
	soak := r.Gates.Soak
	if s.Passed == s.Step+2 {
		soak = 0 // it has soaked before the pause
	}
	complete := began    // when all instances had it last
	var effect time.Time // when they had it first
	away := false        // the bucket
	for {
		err := r.read(ctx)
		if err == nil {
			err = r.believed()
		}
		switch {
		case err == nil:
			if err := r.foreign(); err != nil {
				return "", err
			}
		case ctx.Err() != nil:
			return "", context.Cause(ctx)
		case !away:
			r.tell(ctx, "trouble", err.Error()) // bad verdicts are seen all the same
		}
		away = err != nil
		e := r.judge.Evaluate(ctx, r.at())
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		out := tally.Add(e)
		if e.Presence.OK {
			if complete = e.At; effect.IsZero() {
				effect = e.At
				r.tell(ctx, "effect", e.Presence.Detail)
			}
		}
		soaked := !effect.IsZero() && e.At.Sub(effect) >= soak
		detail := out.Detail
		if out.Good {
			if detail = "good"; !soaked {
				detail = "good so far; it soaks"
			}
		}
		r.event(ctx, Event{Event: "watch", Detail: detail, Evaluation: e})
		switch {
		case len(out.Bad) > 0:
			return r.undo(ctx, "gate "+out.Bad[0].Gate+": "+out.Bad[0].Detail)
		case e.Presence.Known && !e.Presence.OK && e.At.Sub(complete) >= r.Gates.Instances.Within:
			return r.undo(ctx, "not all instances have it: "+e.Presence.Detail)
		case soaked && out.Good:
			return "", r.pass(ctx)
		case e.At.Sub(began) >= r.Gates.Limit:
			return r.end(ctx, EndNoVerdict, detail)
		}
		if err := wait.For(ctx, r.Gates.Every); err != nil {
			return "", err
		}
	}
}
