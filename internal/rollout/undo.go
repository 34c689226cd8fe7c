package rollout

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ociproxy/internal/gate"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publish"
	"ociproxy/internal/wait"
)

// undo takes back what the rollout has published, in all rings, and waits until the instances have that.
func (r *run) undo(ctx context.Context, reason string) (End, error) {
	s := r.state
	if r.condemned = reason; s.Phase != Undoing {
		s.Phase, s.Reason = Undoing, reason
		if err := r.save(ctx); err != nil {
			return "", err
		}
		r.tell(ctx, "undo", reason)
	}
	var left []string // rings with what somebody else has published
	var failed error
	for _, ring := range slices.Sorted(maps.Keys(s.Rings)) {
		err := r.durably(ctx, func(ctx context.Context) error { return r.giveBack(ctx, ring) })
		switch {
		case errors.Is(err, ErrForeign):
			left = append(left, err.Error())
		case err != nil: // the other rings go back all the same
			failed = errors.Join(failed, fmt.Errorf("take back ring %s: %w", ring, err))
		}
	}
	if failed != nil {
		return "", failed
	}
	detail := reason
	if len(left) > 0 {
		detail += "; left alone: " + strings.Join(left, "; ")
	}
	if missing := r.returned(ctx); missing != "" {
		detail += "; not all instances have gone back yet: " + missing
	}
	s.Phase, s.Reason = Undone, detail
	if err := r.save(ctx); err != nil {
		return "", err
	}
	return r.end(ctx, EndUndone, detail)
}

// attempts is how often a write is tried while somebody signs the same heads again.
const attempts = 3

// giveBack publishes again what a ring had before the rollout. It does nothing if the ring has that, and returns
// ErrForeign if somebody else has published something.
func (r *run) giveBack(ctx context.Context, ring string) error {
	known := r.state.Rings[ring]
	for try := 1; ; try++ {
		if err := r.read(ctx); err != nil {
			return err
		}
		h := r.heads.Heads[ring]
		switch fault := r.heads.Faults[publication.HeadName(ring)]; {
		case fault != nil:
			return fmt.Errorf("what is published cannot be believed: %w", fault)
		case h == nil:
			return fmt.Errorf("ring %s: %w: its head is gone", ring, ErrForeign)
		case h.SHA256 == known.BaseSHA256:
			if h.Generation > known.Base {
				known.Returned = h.Generation
			}
			return nil
		case !r.ours(h):
			return fmt.Errorf("ring %s: %w: it has the generation %d by %s (%s)", ring, ErrForeign, h.Generation, h.By, h.Why)
		}
		heads, err := r.Site.Rollback(ctx, r.heads, r.Sign, []string{ring}, known.Base, r.By, r.why("back because of "+r.state.Reason))
		if err == nil {
			known.Returned = heads[0].Generation
			return nil
		}
		if !errors.Is(err, publish.ErrChanged) || try == attempts {
			return err
		}
	}
}

// returned waits until the instances have what the rollout has given back. It returns those that do not; "": all have it.
func (r *run) returned(ctx context.Context) string {
	at := gate.At{Want: map[string]uint64{}, Published: now()}
	for ring, known := range r.state.Rings {
		if known.Returned > 0 {
			at.Want[ring], at.New = known.Returned, append(at.New, known.Returned)
		}
	}
	if len(at.Want) == 0 {
		return ""
	}
	for began := time.Now(); ; {
		e := r.judge.Evaluate(ctx, at)
		if e.Presence.OK {
			return ""
		}
		r.event(ctx, Event{Event: "watch", Detail: "going back: " + e.Presence.Detail, Evaluation: &gate.Evaluation{At: e.At, Presence: e.Presence}})
		if time.Since(began) >= r.Gates.Instances.Within || wait.For(ctx, r.Gates.Every) != nil {
			return e.Presence.Detail
		}
	}
}
