package rollout

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ociproxy/internal/envelope"
	"ociproxy/internal/gate"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publish"
)

// End is how a run of a rollout ended.
type End string

// The ends. After Stopped a later run goes on: there was no verdict in time, or a freeze holds, or a human is asked.
const (
	EndDone      End = "done"
	EndUndone    End = "undone"
	EndPaused    End = "paused"
	EndFrozen    End = "frozen"
	EndNoVerdict End = "no-verdict"
)

// Errors of a run. Except after ErrStuck, the present step stays as it is.
var (
	// ErrForeign says that somebody else has published to a ring of the rollout.
	ErrForeign = errors.New("somebody else has published")
	// ErrOther says that another rollout has not ended.
	ErrOther = errors.New("another rollout has not ended")
	// ErrNothing says that there is no rollout to continue or to abort.
	ErrNothing = errors.New("there is no rollout")
	// ErrClock says that the step was published in the future of this machine's clock, so that nothing can be compared with
	// the time before it.
	ErrClock = errors.New("the clock of this machine is behind")
	// ErrStuck says that the rollout has to go back, and could not. Instances may still have what did harm.
	ErrStuck = errors.New("the way back is not complete")
)

// Judge says what instances do. It is a *gate.Judge outside tests.
type Judge interface {
	// Evaluate never fails: what is not known has no verdict.
	Evaluate(ctx context.Context, at gate.At) *gate.Evaluation
	// Baseline returns what fails before the first step, by gate. The error says why nothing could be judged.
	Baseline(ctx context.Context, at gate.At) (map[string][]string, error)
	// Close ends the work of the judge.
	Close()
}

// Event is something that happened. Only add fields; never remove one.
type Event struct {
	Time       time.Time        `json:"time"`
	Event      string           `json:"event"` // begin, resume, publish, watch, effect, pass, undo, trouble, or an End
	Rollout    string           `json:"rollout"`
	Step       int              `json:"step,omitempty"` // from 1
	Steps      int              `json:"steps,omitempty"`
	Label      string           `json:"label,omitempty"` // of the step
	Rings      []string         `json:"rings,omitempty"`
	Generation uint64           `json:"generation,omitempty"`
	SHA256     string           `json:"sha256,omitempty"`
	Detail     string           `json:"detail,omitempty"`
	Evaluation *gate.Evaluation `json:"evaluation,omitempty"` // of watch
}

// Kept reports whether the event belongs into an audit log. Trouble does not: it is mostly that of the bucket with the log.
func (e *Event) Kept() bool { return e.Event != "watch" && e.Event != "trouble" }

// Options of a run.
type Options struct {
	Site *publish.Site
	Sign envelope.Signer
	// Gates has the times, the counts and the calendar. NewJudge makes what evaluates them.
	Gates    *gate.File
	NewJudge func(baseline map[string][]string) Judge
	// Tell receives what happens, in order. It must not block for long.
	Tell func(context.Context, Event)
	By   string
	// IgnoreFreeze lets a step begin in a freeze.
	IgnoreFreeze bool
	// TTL is how long the lease keeps others away after this process died; 0 means 30 s.
	TTL time.Duration
}

// Plan is a new rollout.
type Plan struct {
	Why         string
	Steps       []PlanStep
	PauseBefore []string // rings
}

// PlanStep is one step of a plan.
type PlanStep struct {
	Label   string
	Rings   []string
	Content []byte // must have passed the checks of a configuration
}

// Start begins a rollout, or continues it if it is the same one: the last content and the steps are the same. A rollout
// that waits for a human keeps waiting. The error is ErrOther if another one has not ended.
func Start(ctx context.Context, opt Options, p Plan) (End, error) {
	return opt.under(ctx, func(ctx context.Context, r *run) (End, error) {
		if r.state != nil && !r.state.Ended() {
			if !slices.EqualFunc(r.state.Steps, p.Steps, sameStep) {
				return "", fmt.Errorf("%w: %s, begun by %s at %s", ErrOther, r.state.ID, r.state.By, r.state.Began.Format(time.RFC3339))
			}
			return r.resume(ctx, false)
		}
		if err := r.begin(ctx, p); err != nil {
			return "", err
		}
		return r.work(ctx)
	})
}

func sameStep(a Step, b PlanStep) bool {
	return slices.Equal(a.Rings, b.Rings) && a.SHA256 == publication.Hash(b.Content)
}

// Resume continues the rollout that has not ended. It lets one that waits for a human go on.
func Resume(ctx context.Context, opt Options) (End, error) {
	return opt.under(ctx, func(ctx context.Context, r *run) (End, error) {
		if r.state == nil || r.state.Ended() {
			return "", ErrNothing
		}
		return r.resume(ctx, true)
	})
}

// Abort takes back what the rollout that has not ended has published.
func Abort(ctx context.Context, opt Options, why string) (End, error) {
	return opt.under(ctx, func(ctx context.Context, r *run) (End, error) {
		if r.state == nil || r.state.Ended() {
			return "", ErrNothing
		}
		r.id, r.judge = r.state.ID, r.NewJudge(r.state.Baseline)
		return r.undo(ctx, "aborted: "+why)
	})
}

// begin writes the contents and the state of a new rollout.
func (r *run) begin(ctx context.Context, p Plan) error {
	s := &State{
		Version: 1, ID: strings.ToLower(rand.Text()[:8]), Deployment: r.Site.Trust.Deployment, Began: now(), By: r.By, Why: p.Why,
		Rings: map[string]*Ring{}, Phase: Publishing, PauseBefore: p.PauseBefore,
	}
	if r.state != nil {
		s.version = r.state.version
	}
	for _, step := range p.Steps {
		s.Steps = append(s.Steps, Step{step.Label, step.Rings, publication.Hash(step.Content), int64(len(step.Content))})
		for _, ring := range step.Rings {
			h := r.heads.Heads[ring]
			if h == nil {
				return fmt.Errorf("ring %s: %w", ring, publish.ErrNoRing)
			}
			s.Rings[ring] = &Ring{Base: h.Generation, BaseSHA256: h.SHA256}
		}
	}
	if err := s.Check(); err != nil {
		return err
	}
	r.judge = r.NewJudge(nil)
	bases := map[string]uint64{}
	for name, ring := range s.Rings {
		bases[name] = ring.Base
	}
	var err error
	if s.Baseline, err = r.judge.Baseline(ctx, gate.At{Want: bases, Published: time.Now()}); err != nil {
		return err
	}
	for _, step := range p.Steps {
		if err := r.durably(ctx, func(ctx context.Context) error { return r.Site.WriteContent(ctx, step.Content) }); err != nil {
			return err
		}
	}
	r.state = s
	if err := r.save(ctx); err != nil {
		return err
	}
	r.id = s.ID
	r.tell(ctx, "begin", s.Why)
	return nil
}

// maxSkew is how far the clocks of two machines may differ. Instances need longer than that until they have a step.
const maxSkew = 10 * time.Second

// resume continues. pass lets a rollout that waits for a human go on.
func (r *run) resume(ctx context.Context, pass bool) (End, error) {
	s := r.state
	r.id, r.judge = s.ID, r.NewJudge(s.Baseline)
	if r.condemned != "" {
		return r.undo(ctx, r.condemned)
	}
	if s.Phase == Paused {
		if !pass {
			return r.end(ctx, EndPaused, "before "+s.Steps[s.Step].Label)
		}
		// The step before it is judged again: nobody watched during the pause.
		s.Passed = s.Step + 1
		if s.Phase = Publishing; s.Step > 0 {
			s.Phase, s.Step = Watching, s.Step-1
		}
		if err := r.save(ctx); err != nil {
			return "", err
		}
	}
	if r.published.IsZero() {
		if ahead := time.Until(s.Published); ahead > maxSkew {
			return "", fmt.Errorf("%w: another one has published the step %s later than it is here", ErrClock, ahead.Round(time.Second))
		}
		r.published = s.Published
	}
	r.tell(ctx, "resume", string(s.Phase))
	return r.work(ctx)
}

// work does what the phase says, until an end.
func (r *run) work(ctx context.Context) (End, error) {
	for {
		var end End
		var err error
		switch s := r.state; s.Phase {
		case Publishing:
			end, err = r.publish(ctx)
		case Watching:
			end, err = r.watch(ctx)
		case Undoing:
			return r.undo(ctx, s.Reason)
		case Done:
			return r.end(ctx, EndDone, "")
		default:
			return "", fmt.Errorf("%s: %w: phase %s", StateName, ErrState, s.Phase)
		}
		if end != "" || err != nil {
			return end, err
		}
	}
}

func now() time.Time { return time.Now().UTC() }

// pausesAt reports whether a human has to let the present step begin.
func (s *State) pausesAt() bool {
	if s.Passed == s.Step+1 {
		return false
	}
	for _, ring := range s.Steps[s.Step].Rings {
		if slices.Contains(s.PauseBefore, ring) && s.Rings[ring].Generation == 0 {
			return true
		}
	}
	return false
}

// publish publishes the present step to the rings that do not have it yet.
func (r *run) publish(ctx context.Context) (End, error) {
	s := r.state
	step := s.Steps[s.Step]
	if err := r.adopt(ctx); err != nil {
		return "", err
	}
	var rings []string
	for _, ring := range step.Rings {
		if r.heads.Heads[ring].SHA256 != step.SHA256 || !r.ours(r.heads.Heads[ring]) {
			rings = append(rings, ring)
		}
	}
	published := time.Now()
	for _, ring := range step.Rings {
		// An earlier run began the step. Gates compare with the time before that.
		if at := r.heads.Heads[ring].PublishedAt; !slices.Contains(rings, ring) && at.Before(published) {
			published = at
		}
	}
	if len(rings) == len(step.Rings) { // it has not begun
		if s.pausesAt() {
			s.Phase = Paused
			if err := r.save(ctx); err != nil {
				return "", err
			}
			return r.end(ctx, EndPaused, "before "+step.Label)
		}
		if why := r.Gates.Frozen(time.Now()); why != "" && !r.IgnoreFreeze {
			return r.end(ctx, EndFrozen, why)
		}
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if len(rings) > 0 {
		content, err := r.Site.Content(ctx, step.SHA256, step.Bytes)
		if err != nil {
			return "", err
		}
		err = r.durably(ctx, func(ctx context.Context) error {
			heads, err := r.Site.Publish(ctx, r.heads, r.Sign, publish.Change{Rings: rings, Content: content, By: r.By, Why: r.why(step.Label)})
			for _, h := range heads {
				s.take(h)
			}
			return err
		})
		if err != nil {
			return "", err
		}
	}
	r.published, s.Phase, s.Published = published, Watching, published.UTC()
	if err := r.save(ctx); err != nil {
		return "", err
	}
	r.tell(ctx, "publish", "")
	return "", nil
}

// why is the reason in a head.
func (r *run) why(what string) string {
	text := r.state.marker() + what + ": " + r.state.Why
	return text[:min(len(text), 1000)]
}

// take notes that a head is the rollout's own.
func (s *State) take(h *publication.Head) {
	s.Rings[h.Ring].Generation = h.Generation
	if !slices.Contains(s.New, h.Generation) {
		s.New = append(s.New, h.Generation)
	}
}

// ours reports whether the rollout has published a head.
func (r *run) ours(h *publication.Head) bool { return strings.HasPrefix(h.Why, r.state.marker()) }

// adopt reads the heads, and takes those of the present step that a run published before it died. The error is
// ErrForeign if somebody else has published to a ring.
func (r *run) adopt(ctx context.Context) error {
	if err := r.read(ctx); err != nil {
		return err
	}
	if err := r.believed(); err != nil {
		return err
	}
	s := r.state
	for _, ring := range s.Steps[s.Step].Rings {
		h := r.heads.Heads[ring]
		if h != nil && h.SHA256 == s.Steps[s.Step].SHA256 && r.ours(h) && h.Generation > max(s.Rings[ring].Generation, s.Rings[ring].Base) {
			s.take(h)
		}
	}
	return r.foreign()
}

// foreign returns ErrForeign if a ring does not have what the rollout knows.
func (r *run) foreign() error {
	for ring, known := range r.state.Rings {
		want := max(known.Generation, known.Base)
		h := r.heads.Heads[ring]
		if h == nil {
			return fmt.Errorf("ring %s: %w: its head is gone", ring, ErrForeign)
		}
		if h.Generation != want {
			return fmt.Errorf("ring %s: %w: it has the generation %d by %s (%s), not %d", ring, ErrForeign, h.Generation, h.By, h.Why, want)
		}
	}
	return nil
}

// pass goes on to the next step.
func (r *run) pass(ctx context.Context) error {
	r.tell(ctx, "pass", "")
	s := r.state
	if s.Step == len(s.Steps)-1 {
		s.Phase = Done
	} else {
		s.Phase, s.Step = Publishing, s.Step+1
	}
	return r.save(ctx)
}

func (r *run) end(ctx context.Context, end End, detail string) (End, error) {
	r.tell(ctx, string(end), detail)
	return end, nil
}

func (r *run) tell(ctx context.Context, event, detail string) {
	r.event(ctx, Event{Event: event, Detail: detail})
}

func (r *run) event(ctx context.Context, e Event) {
	s := r.state
	step := s.Steps[s.Step]
	e.Time, e.Rollout, e.Step, e.Steps, e.Label, e.Rings, e.SHA256 = now(), s.ID, s.Step+1, len(s.Steps), step.Label, step.Rings, step.SHA256
	e.Generation = s.Rings[step.Rings[0]].Generation
	r.Tell(ctx, e)
}
