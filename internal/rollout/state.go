package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"ociproxy/internal/envelope"
	"ociproxy/internal/publication"
	"ociproxy/internal/store"
	"ociproxy/internal/strictjson"
)

// StateName is where the state lies in the bucket of a publication.
const StateName = "rollouts/current.json"

// stateType is the type of the payload of its envelope. It is signed by a config key: a forged state could make this
// program publish another content.
const stateType = "application/vnd.oci-proxy.rollout.v1+json"

// maxState bounds the state, maxSteps the steps: a head remembers 20 publications, and the one before the rollout must be
// among them.
const maxState, maxSteps = 1 << 20, 15

// Phase is what a rollout does.
type Phase string

// The phases. The last two are ends.
const (
	Publishing Phase = "publishing" // a step, or is about to
	Watching   Phase = "watching"   // the step that was published
	Paused     Phase = "paused"     // before a step, for a human
	Undoing    Phase = "undoing"
	Done       Phase = "done"
	Undone     Phase = "undone"
)

// Step is one step: the rings that get a content.
type Step struct {
	Label  string   `json:"label"` // for people: "canary", "25 %"
	Rings  []string `json:"rings"`
	SHA256 string   `json:"sha256"`
	Bytes  int64    `json:"bytes"`
}

// Ring is what the rollout knows of a ring.
type Ring struct {
	// Base and BaseSHA256 are what it had before.
	Base       uint64 `json:"base"`
	BaseSHA256 string `json:"baseSHA256"`
	// Generation is what the rollout has published last; 0: nothing yet.
	Generation uint64 `json:"generation,omitempty"`
	// Returned is the generation with the base content that took it back; 0: none.
	Returned uint64 `json:"returned,omitempty"`
}

// State is the state of a rollout.
type State struct {
	Version    int              `json:"version"`
	ID         string           `json:"id"`
	Deployment string           `json:"deployment"`
	Began      time.Time        `json:"began"`
	By         string           `json:"by,omitempty"`
	Why        string           `json:"why,omitempty"`
	Steps      []Step           `json:"steps"`
	Rings      map[string]*Ring `json:"rings"`
	Phase      Phase            `json:"phase"`
	Step       int              `json:"step"` // index
	// PauseBefore are the rings before whose first step it pauses. Passed is the number, from 1, of the last step that a
	// human has let begin.
	PauseBefore []string `json:"pauseBefore,omitempty"`
	Passed      int      `json:"passed,omitempty"`
	// Published is when the present step was published.
	Published time.Time `json:"published,omitzero"`
	// New are all generations that it has published.
	New []uint64 `json:"new,omitempty"`
	// Baseline are the failures of commands before the first step, by gate.
	Baseline map[string][]string `json:"baseline,omitempty"`
	// Reason is why it goes back.
	Reason string `json:"reason,omitempty"`

	version string // of the object
}

// Ended reports whether nothing is left to do.
func (s *State) Ended() bool { return s.Phase == Done || s.Phase == Undone }

// Check implements what the signer asks for: whether readers would accept s.
func (s *State) Check() error {
	if s.Version != 1 {
		return fmt.Errorf("version %d, this program reads version 1", s.Version)
	}
	if len(s.Steps) == 0 || len(s.Steps) > maxSteps || s.Step < 0 || s.Step >= len(s.Steps) {
		return fmt.Errorf("step %d of %d", s.Step, len(s.Steps))
	}
	if !slices.Contains([]Phase{Publishing, Watching, Paused, Undoing, Done, Undone}, s.Phase) {
		return fmt.Errorf("unknown phase %.40q", s.Phase)
	}
	for _, step := range s.Steps {
		for _, ring := range step.Rings {
			if s.Rings[ring] == nil {
				return fmt.Errorf("nothing is known of the ring %.80q", ring)
			}
		}
	}
	return nil
}

// marker begins the reason of what the rollout publishes, so that it recognises its own after a crash.
func (s *State) marker() string { return "rollout " + s.ID + ", " }

// Errors of the state.
var (
	// ErrState says that the state cannot be believed.
	ErrState = errors.New("the state of the rollout cannot be believed")
	// ErrRace says that another process has changed the state.
	ErrRace = errors.New("another process has changed the state of the rollout")
)

// ReadState reads the state; nil: there is none. Read the publication first: trust must know the set of keys.
func ReadState(ctx context.Context, b store.Bucket, trust *publication.Trust) (*State, error) {
	body, at, err := b.Get(ctx, StateName, 0, -1)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", StateName, err)
	}
	defer func() { _ = body.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(body, maxState+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", StateName, err)
	}
	payload, _, err := envelope.Open(text, stateType, trust.ConfigKeys()...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", StateName, ErrState, err)
	}
	s := &State{version: at.Version}
	if err := strictjson.UnmarshalClosed(payload, s, strictjson.Bounds{Bytes: maxState, Depth: 8}); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", StateName, ErrState, err)
	}
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", StateName, ErrState, err)
	}
	if s.Deployment != trust.Deployment {
		return nil, fmt.Errorf("%s: %w: it is of the deployment %.80s", StateName, ErrState, s.Deployment)
	}
	return s, nil
}

// write signs the state and writes it over the version that was read.
func (s *State) write(ctx context.Context, b store.Bucket, sign envelope.Signer) error {
	payload, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	text, err := envelope.SignWith(ctx, sign, stateType, payload)
	if err != nil {
		return fmt.Errorf("sign %s: %w", StateName, err)
	}
	if len(text) > maxState {
		return fmt.Errorf("%s would have %d bytes, more than %d", StateName, len(text), maxState)
	}
	at, err := b.Put(ctx, StateName, store.Bytes(text), store.Header{ContentType: "application/json", CacheControl: "no-store"}, s.version)
	switch {
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrExists):
		return ErrRace
	case err != nil:
		return fmt.Errorf("write %s: %w", StateName, err)
	}
	s.version = at.Version
	return nil
}
