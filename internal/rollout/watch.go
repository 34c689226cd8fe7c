package rollout

import (
	"context"
	"time"

	"ociproxy/internal/gate"
	"ociproxy/internal/wait"
)

// watch evaluates the gates until the step is good, bad, or out of time.
func (r *run) watch(ctx context.Context) (End, error) {
	s := r.state
	began, tally := time.Now(), gate.Tally{Need: r.Gates.Good}
	complete := s.Published // when all instances had it last
	if s.Step < len(s.Steps)-1 && s.Passed == s.Step+1 || began.Sub(s.Published) > r.Gates.Instances.Within {
		complete = began // nobody watched for a long time
	}
	for {
		if err := r.read(ctx); err != nil {
			if ctx.Err() != nil {
				return "", err
			}
			r.tell(ctx, "trouble", err.Error()) // the bucket may be away for a while: bad verdicts are seen all the same
		} else if err := r.foreign(); err != nil {
			return "", err
		}
		e := r.judge.Evaluate(ctx, s.at())
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		out := tally.Add(e)
		if e.Presence.OK {
			complete = e.At
			if s.Effect.IsZero() {
				s.Effect = e.At.UTC()
				if err := r.save(ctx); err != nil {
					return "", err
				}
				r.tell(ctx, "effect", e.Presence.Detail)
			}
		}
		soaked := !s.Effect.IsZero() && e.At.Sub(s.Effect) >= r.Gates.Soak
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

// at is what the judge judges.
func (s *State) at() gate.At {
	at := gate.At{New: s.New, Want: map[string]uint64{}, Published: s.Published}
	for name, ring := range s.Rings {
		if ring.Generation > 0 {
			at.Want[name] = ring.Generation
		}
	}
	return at
}
