package publication

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"ociproxy/internal/envelope"
	"ociproxy/internal/key"
	"ociproxy/internal/strictjson"
)

// Fault is why a document is not believed: a word for metrics.
type Fault string

// The faults, a closed set.
const (
	Missing  Fault = "missing"  // there is none, or it cannot be fetched
	Unsigned Fault = "unsigned" // no signature by a key that may sign it
	Bad      Fault = "bad"      // its content cannot be right, or the content that it names is not what it says
	Foreign  Fault = "foreign"  // it is of another deployment or ring
	Replayed Fault = "replayed" // an earlier generation than one that was accepted, or another content of the same
	Stale    Fault = "stale"    // not signed again for too long
	Clock    Fault = "clock"    // signed in the future: a clock is wrong, here or there
	Refused  Fault = "refused"  // the configuration has faults
)

// Faults lists all faults.
func Faults() []Fault {
	return []Fault{Missing, Unsigned, Bad, Foreign, Replayed, Stale, Clock, Refused}
}

// Error is why a document is not believed.
type Error struct {
	Fault Fault
	Name  string // of the document: "rings/all/head.json"
	Err   error
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("%s: %s: %v", e.Name, e.Fault, e.Err) }

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// FaultOf returns the fault of err; [Missing] for an error of another kind, "" for nil.
func FaultOf(err error) Fault {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Fault
	}
	return Missing
}

// MaxSkew is how far in the future a document may be signed.
const MaxSkew = 10 * time.Minute

// DefaultMaxAge is how long a document counts without being signed again.
const DefaultMaxAge = 7 * 24 * time.Hour

// Trust decides which documents of one deployment to believe. It remembers the newest that it has accepted of each kind.
// Use it from one goroutine.
type Trust struct {
	// Deployment is the name that each document must have.
	Deployment string
	// Roots are the keys that were given at the start. They sign the set of keys. While there is no set of keys, they
	// also sign heads, and nobody can sign overrides.
	Roots []ed25519.PublicKey
	// MaxAge is how long a document counts without being signed again; 0 means [DefaultMaxAge], negative means forever.
	MaxAge time.Duration

	keys      *Keys
	heads     map[string]*Head
	overrides *Overrides
}

// KeySet returns the set of keys in use; nil: none was accepted yet.
func (t *Trust) KeySet() *Keys { return t.keys }

// ConfigKeys are the keys that may sign heads at present.
func (t *Trust) ConfigKeys() []ed25519.PublicKey {
	if t.keys != nil {
		return keysOf(t.keys.Config)
	}
	return t.Roots
}

// Head returns the newest head of a ring that was accepted; nil: none.
func (t *Trust) Head(ring string) *Head { return t.heads[ring] }

// Overrides returns the newest overrides that were accepted; nil: none.
func (t *Trust) Overrides() *Overrides { return t.overrides }

// AcceptKeys opens a set of keys and, if it may be believed, uses it from now on. The error is an *[Error].
func (t *Trust) AcceptKeys(text []byte, now time.Time) (*Keys, error) {
	k := new(Keys)
	roots := t.Roots
	if t.keys != nil {
		roots = slices.DeleteFunc(slices.Clone(roots), func(r ed25519.PublicKey) bool { return slices.Contains(t.keys.RevokedRoots, key.ID(r)) })
	}
	var was *Meta
	if t.keys != nil {
		was = &t.keys.Meta
	}
	signer, err := t.open(KeysName, text, KeysType, k, &k.Meta, k.Check, roots, was, now)
	if err != nil {
		return nil, err
	}
	if slices.Contains(k.RevokedRoots, signer) {
		return nil, &Error{Bad, KeysName, errors.New("it revokes the key that signed it")}
	}
	if was != nil && was.Generation == k.Generation && !sameKeys(t.keys, k) {
		return nil, &Error{Replayed, KeysName, fmt.Errorf("another set of keys with the generation %d", k.Generation)}
	}
	if t.keys != nil { // a root key that was revoked once stays so
		for _, id := range t.keys.RevokedRoots {
			if !slices.Contains(k.RevokedRoots, id) {
				k.RevokedRoots = append(k.RevokedRoots, id)
			}
		}
	}
	t.keys = k
	return k, nil
}

// AcceptHead opens the head of a ring and, if it may be believed, remembers it. The error is an *[Error]. The caller
// still has to see that the content is what the head says ([Head.CheckContent]).
func (t *Trust) AcceptHead(ring string, text []byte, now time.Time) (*Head, error) {
	h, err := t.OpenHead(ring, text, now)
	if err != nil {
		return nil, err
	}
	t.Adopt(h)
	return h, nil
}

// OpenHead is [Trust.AcceptHead] without remembering the head. Use it with Adopt when the head counts only once its
// content is there and good.
func (t *Trust) OpenHead(ring string, text []byte, now time.Time) (*Head, error) {
	h, name := new(Head), HeadName(ring)
	var was *Meta
	old := t.heads[ring]
	if old != nil {
		was = &old.Meta
	}
	if _, err := t.open(name, text, HeadType, h, &h.Meta, h.Check, t.ConfigKeys(), was, now); err != nil {
		return nil, err
	}
	if h.Ring != ring {
		return nil, &Error{Foreign, name, fmt.Errorf("it is of the ring %s, not %s", h.Ring, ring)}
	}
	if old != nil && old.Generation == h.Generation && old.SHA256 != h.SHA256 {
		return nil, &Error{Replayed, name, fmt.Errorf("another content with the generation %d", h.Generation)}
	}
	return h, nil
}

// Adopt remembers a head that OpenHead returned.
func (t *Trust) Adopt(h *Head) {
	if t.heads == nil {
		t.heads = map[string]*Head{}
	}
	t.heads[h.Ring] = h
}

// Without returns a copy of t that has accepted no head of ring: it believes an earlier one, too.
func (t *Trust) Without(ring string) *Trust {
	c := *t
	c.heads = maps.Clone(t.heads)
	delete(c.heads, ring)
	return &c
}

// AcceptOverrides opens overrides and, if they may be believed, remembers them. The error is an *[Error].
func (t *Trust) AcceptOverrides(text []byte, now time.Time) (*Overrides, error) {
	o := new(Overrides)
	var signers []ed25519.PublicKey
	if t.keys != nil {
		signers = keysOf(t.keys.Override)
	}
	var was *Meta
	if t.overrides != nil {
		was = &t.overrides.Meta
	}
	if _, err := t.open(OverridesName, text, OverridesType, o, &o.Meta, o.Check, signers, was, now); err != nil {
		return nil, err
	}
	if was != nil && was.Generation == o.Generation && !reflect.DeepEqual(t.overrides.Overrides, o.Overrides) {
		return nil, &Error{Replayed, OverridesName, fmt.Errorf("other overrides with the generation %d", o.Generation)}
	}
	t.overrides = o
	return o, nil
}

// open reads a document into is and judges what all documents have. was is the newest that was accepted of its kind.
func (t *Trust) open(name string, text []byte, kind string, is any, meta *Meta, check func() error, signers []ed25519.PublicKey, was *Meta, now time.Time) (signer string, err error) {
	fault := func(f Fault, format string, args ...any) error { return &Error{f, name, fmt.Errorf(format, args...)} }
	if len(text) > MaxDocument {
		return "", fault(Bad, "more than %d bytes", MaxDocument)
	}
	payload, signer, err := envelope.Open(text, kind, signers...)
	switch {
	case errors.Is(err, envelope.ErrUntrusted), errors.Is(err, envelope.ErrNoKey):
		return "", fault(Unsigned, "%w", err)
	case err != nil:
		return "", fault(Bad, "%w", err)
	}
	if err := strictjson.UnmarshalClosed(payload, is, strictjson.Bounds{Bytes: MaxDocument, Depth: 8}); err != nil {
		return "", fault(Bad, "%w", err)
	}
	if err := check(); err != nil {
		return "", fault(Bad, "%w", err)
	}
	maxAge := t.MaxAge
	if maxAge == 0 {
		maxAge = DefaultMaxAge
	}
	switch age := now.Sub(meta.SignedAt); {
	case meta.Deployment != t.Deployment:
		return "", fault(Foreign, "it is of the deployment %s, not %s", meta.Deployment, t.Deployment)
	case was != nil && meta.Generation < was.Generation:
		return "", fault(Replayed, "generation %d came before %d, which is known", meta.Generation, was.Generation)
	case was != nil && meta.Generation == was.Generation && meta.SignedAt.Before(was.SignedAt):
		return "", fault(Replayed, "generation %d, signed at %s, before one that is known", meta.Generation, meta.SignedAt.Format(time.RFC3339))
	case age < -MaxSkew:
		return "", fault(Clock, "signed at %s, which is in the future", meta.SignedAt.Format(time.RFC3339))
	case maxAge > 0 && age > maxAge:
		return "", fault(Stale, "not signed again since %s", meta.SignedAt.Format(time.RFC3339))
	}
	return signer, nil
}

func sameKeys(a, b *Keys) bool {
	return slices.Equal(a.Config, b.Config) && slices.Equal(a.Override, b.Override)
}

// Sign returns the envelope of a document of this package. It refuses a document that readers would refuse.
func Sign(ctx context.Context, with envelope.Signer, document interface{ Check() error }) ([]byte, error) {
	var kind string
	switch document.(type) {
	case *Keys:
		kind = KeysType
	case *Head:
		kind = HeadType
	case *Overrides:
		kind = OverridesType
	default:
		return nil, fmt.Errorf("sign: %T is no document of a publication", document)
	}
	if err := document.Check(); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	payload, err := json.Marshal(document) // without indents: key services bound what they sign
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	text, err := envelope.SignWith(ctx, with, kind, payload)
	if err == nil && len(text) > MaxDocument {
		err = fmt.Errorf("sign: %d bytes, readers accept %d", len(text), MaxDocument)
	}
	return text, err
}
