package publication

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"time"

	"ociproxy/internal/key"
)

// Names below the URL of a publication.
const (
	KeysName      = "keys.json"
	OverridesName = "overrides.json"
	RingsPrefix   = "rings/"
	ContentPrefix = "content/"
)

// HeadName is where the head of a ring lies.
func HeadName(ring string) string { return RingsPrefix + ring + "/head.json" }

// ContentName is where a content lies.
func ContentName(sha256 string) string { return ContentPrefix + sha256 + ".yaml" }

// Types of the payloads of the envelopes.
const (
	KeysType      = "application/vnd.oci-proxy.config-keys.v1+json"
	HeadType      = "application/vnd.oci-proxy.config-head.v1+json"
	OverridesType = "application/vnd.oci-proxy.config-overrides.v1+json"
)

// Version is the version of all three documents that this release reads and writes. A change that old readers would
// misunderstand needs a new one.
const Version = 1

// These bound what a reader accepts.
const (
	MaxDocument  = 256 << 10 // bytes of an envelope
	MaxKeys      = 32        // of each role
	MaxOverrides = 256
	MaxPrevious  = 20
	maxText      = 1000 // bytes of a text for people
)

// maxSeconds is the last second that a time in JSON can have.
const maxSeconds = 253402300799

// MaxOverride is how long an override may last. `deny` has no such limit: it stays until somebody removes it.
const MaxOverride = 24 * time.Hour

// DefaultRing is the ring of an instance that names none.
const DefaultRing = "all"

// Meta is what all documents begin with.
type Meta struct {
	Version    int    `json:"version"`
	Deployment string `json:"deployment"`
	// Generation grows with every change and never falls. It is not higher than the seconds from 1970 to SignedAt: with
	// the highest number that there is, the thief of a key would lock its owner out for ever. So the owner can publish a
	// higher one at the latest [MaxSkew] later.
	Generation uint64 `json:"generation"`
	// SignedAt is when the document was last signed. A reader does not believe a document that was not signed again
	// for a long time, because somebody may hold back newer ones.
	SignedAt time.Time `json:"signedAt"`
}

// NamedKey is a public key and what people call it.
type NamedKey struct {
	Name string `json:"name"`
	Key  string `json:"key"` // as key.Format writes it
}

// Keys says which keys may sign what. Only a root key may sign it.
type Keys struct {
	Meta
	Config   []NamedKey `json:"config"`   // may sign heads
	Override []NamedKey `json:"override"` // may sign overrides, and nothing else
	// RevokedRoots are the ids of root keys that count no more. An instance remembers them.
	RevokedRoots []string `json:"revokedRoots,omitempty"`
}

// Head says which content a ring uses.
type Head struct {
	Meta
	Ring        string    `json:"ring"`
	SHA256      string    `json:"sha256"` // of the content, lower-case hexadecimal
	Bytes       int64     `json:"bytes"`  // of the content
	PublishedAt time.Time `json:"publishedAt"`
	By          string    `json:"by,omitempty"`
	Why         string    `json:"why,omitempty"`
	// Previous are the publications before this one, the newest first, for a rollback.
	Previous []Earlier `json:"previous,omitempty"`
}

// Earlier is a publication that another one has replaced.
type Earlier struct {
	Generation  uint64    `json:"generation"`
	SHA256      string    `json:"sha256"`
	Bytes       int64     `json:"bytes"`
	PublishedAt time.Time `json:"publishedAt"`
	By          string    `json:"by,omitempty"`
	Why         string    `json:"why,omitempty"`
	// Undone says that a rollback took this publication back. The next rollback does not return to it.
	Undone bool `json:"undone,omitempty"`
}

// Overrides are the changes that hold at present, for all rings.
type Overrides struct {
	Meta
	Overrides []Override `json:"overrides"`
}

// Action is what an override does. None can name a URL, add a candidate, or switch the canonical upstream off.
type Action string

// The actions.
const (
	Off   Action = "off"   // the candidate gets no client
	Drain Action = "drain" // the candidate is kept as it is and gets no client that has another choice
	Pin   Action = "pin"   // some clients go to named candidates only
	Deny  Action = "deny"  // a digest or a repository is refused
)

// Override is one change.
type Override struct {
	ID     string `json:"id"` // unique in its document
	Action Action `json:"action"`
	// Candidate is the store or upstream of `off` and `drain`.
	Candidate string `json:"candidate,omitempty"`
	// Cloud or CIDR are the clients of `pin`, and To the candidates that they may go to.
	Cloud string   `json:"cloud,omitempty"`
	CIDR  string   `json:"cidr,omitempty"`
	To    []string `json:"to,omitempty"`
	// Digest or Repository is what `deny` refuses.
	Digest     string    `json:"digest,omitempty"`
	Repository string    `json:"repository,omitempty"`
	Why        string    `json:"why"`
	By         string    `json:"by"`
	From       time.Time `json:"from"`
	// Until is when it ends by itself, at most [MaxOverride] after From; zero only with `deny`.
	Until time.Time `json:"until,omitzero"`
}

// Holds reports whether o holds at a time.
func (o *Override) Holds(now time.Time) bool { return o.Until.IsZero() || now.Before(o.Until) }

var (
	nameRule = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	hashRule = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// CheckName returns why text cannot be the name of a ring or a deployment; nil if it can.
func CheckName(text string) error {
	if !nameRule.MatchString(text) {
		return fmt.Errorf("%.80q: want 1 to 63 letters a-z, digits and hyphens, such as canary", text)
	}
	return nil
}

func (m *Meta) check() error {
	switch {
	case m.Version != Version:
		return fmt.Errorf("version %d, this program reads version %d", m.Version, Version)
	case m.SignedAt.Unix() <= 0:
		return errors.New("no signedAt")
	case m.Generation == 0:
		return errors.New("no generation")
	case m.Generation > uint64(m.SignedAt.Unix()):
		return fmt.Errorf("generation %d is too high before %s", m.Generation, time.Unix(int64(min(m.Generation, maxSeconds)), 0).UTC().Format(time.RFC3339))
	}
	if err := CheckName(m.Deployment); err != nil {
		return fmt.Errorf("deployment %w", err)
	}
	return nil
}

// Check returns why readers would refuse k; nil if they would not.
func (k *Keys) Check() error {
	if err := k.check(); err != nil {
		return err
	}
	if len(k.Config) == 0 {
		return errors.New("no config key: nobody could publish")
	}
	seen := map[string]bool{}
	for _, list := range [][]NamedKey{k.Config, k.Override} {
		if len(list) > MaxKeys {
			return fmt.Errorf("%d keys, more than %d", len(list), MaxKeys)
		}
		for _, one := range list {
			if _, err := key.Parse(one.Key); err != nil {
				return fmt.Errorf("key %.80q: %w", one.Name, err)
			}
			if seen[one.Key] {
				return fmt.Errorf("key %.80q is listed twice: a key has one role", one.Name)
			}
			seen[one.Key] = true
		}
	}
	if len(k.RevokedRoots) > MaxKeys {
		return fmt.Errorf("%d revoked keys, more than %d", len(k.RevokedRoots), MaxKeys)
	}
	return nil
}

// Check returns why readers would refuse h; nil if they would not.
func (h *Head) Check() error {
	if err := h.check(); err != nil {
		return err
	}
	if err := CheckName(h.Ring); err != nil {
		return fmt.Errorf("ring %w", err)
	}
	if len(h.Previous) > MaxPrevious {
		return fmt.Errorf("%d previous publications, more than %d", len(h.Previous), MaxPrevious)
	}
	all := append([]Earlier{{h.Generation, h.SHA256, h.Bytes, h.PublishedAt, h.By, h.Why, false}}, h.Previous...)
	for i, e := range all {
		switch {
		case !hashRule.MatchString(e.SHA256):
			return fmt.Errorf("sha256 %.80q: not 64 lower-case hexadecimal digits", e.SHA256)
		case e.Bytes <= 0:
			return fmt.Errorf("impossible size %d", e.Bytes)
		case i > 0 && e.Generation >= all[i-1].Generation:
			return fmt.Errorf("generation %d is listed after %d", e.Generation, all[i-1].Generation)
		case len(e.By) > maxText || len(e.Why) > maxText:
			return fmt.Errorf("a text is longer than %d bytes", maxText)
		}
	}
	return nil
}

// Check returns why readers would refuse o; nil if they would not. Whether its candidates exist is not known here.
func (o *Overrides) Check() error {
	if err := o.check(); err != nil {
		return err
	}
	if o.Overrides == nil {
		return errors.New("no list of overrides")
	}
	if len(o.Overrides) > MaxOverrides {
		return fmt.Errorf("%d overrides, more than %d", len(o.Overrides), MaxOverrides)
	}
	for i := range o.Overrides {
		one := &o.Overrides[i]
		if slices.ContainsFunc(o.Overrides[:i], func(b Override) bool { return b.ID == one.ID }) {
			return fmt.Errorf("override %.80q: listed twice", one.ID)
		}
		if err := one.check(); err != nil {
			return fmt.Errorf("override %.80q: %w", one.ID, err)
		}
		if one.From.After(o.SignedAt.Add(MaxSkew)) { // it holds at once, and would last longer than it says
			return fmt.Errorf("override %.80q: it begins at %s, after it was signed", one.ID, one.From.Format(time.RFC3339))
		}
	}
	return nil
}

func (o *Override) check() error {
	if err := CheckName(o.ID); err != nil {
		return fmt.Errorf("id %w", err)
	}
	switch {
	case o.Why == "" || len(o.Why) > maxText || len(o.By) > maxText:
		return fmt.Errorf("why and by: want a reason, and at most %d bytes each", maxText)
	case o.From.IsZero():
		return errors.New("no from")
	case o.Until.IsZero() && o.Action != Deny:
		return fmt.Errorf("%s needs until", o.Action)
	case !o.Until.IsZero() && !o.Until.After(o.From):
		return errors.New("until is not after from")
	case !o.Until.IsZero() && o.Until.Sub(o.From) > MaxOverride:
		return fmt.Errorf("it lasts %s, more than %s", o.Until.Sub(o.From), MaxOverride)
	}
	want := Override{ID: o.ID, Action: o.Action, Why: o.Why, By: o.By, From: o.From, Until: o.Until}
	switch o.Action {
	case Off, Drain:
		want.Candidate = o.Candidate
		if o.Candidate == "" {
			return errors.New("no candidate")
		}
	case Pin:
		want.Cloud, want.CIDR, want.To = o.Cloud, o.CIDR, o.To
		if (o.Cloud == "") == (o.CIDR == "") || len(o.To) == 0 || len(o.To) > MaxKeys {
			return errors.New("a pin needs cloud or cidr, and to")
		}
		if _, err := netip.ParsePrefix(o.CIDR); o.CIDR != "" && err != nil {
			return fmt.Errorf("cidr: %w", err)
		}
	case Deny:
		want.Digest, want.Repository = o.Digest, o.Repository
		if (o.Digest == "") == (o.Repository == "") {
			return errors.New("deny needs a digest or a repository")
		}
	default:
		return fmt.Errorf("unknown action %.40q", o.Action)
	}
	if !same(&want, o) {
		return fmt.Errorf("it has keys that do not belong to %s", o.Action)
	}
	return nil
}

func same(a, b *Override) bool {
	x, y := *a, *b
	x.To, y.To = nil, nil
	return slices.Equal(a.To, b.To) && x.Candidate == y.Candidate && x.Cloud == y.Cloud && x.CIDR == y.CIDR &&
		x.Digest == y.Digest && x.Repository == y.Repository
}

// keysOf returns the keys of a list that [Keys.Check] has accepted.
func keysOf(list []NamedKey) (out []ed25519.PublicKey) {
	for _, one := range list {
		if public, err := key.Parse(one.Key); err == nil {
			out = append(out, public)
		}
	}
	return out
}
