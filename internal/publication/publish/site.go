package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"ociproxy/internal/envelope"
	"ociproxy/internal/publication"
	"ociproxy/internal/store"
)

// Errors of a [Site].
var (
	// ErrChanged says that somebody else changed the document between reading and writing. Nothing was written.
	ErrChanged = errors.New("somebody else has just changed it")
	// ErrNothing says that there is nothing to go back to.
	ErrNothing = errors.New("no earlier publication to go back to")
	// ErrNoRing says that a ring has no head yet.
	ErrNoRing = errors.New("nothing was published to this ring yet")
)

// Site is a publication in a bucket. Its methods may be called by one goroutine at a time.
type Site struct {
	Bucket store.Bucket
	// Trust judges what is there. Its MaxAge should be negative: an operator must be able to renew what became stale.
	Trust *publication.Trust
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Replace writes over documents that cannot be believed, and gives what is written a generation above all that
	// instances can have accepted, also of documents that are gone or that no key may sign any more.
	Replace bool
}

// State is what is published.
type State struct {
	Keys      *publication.Keys            // nil: there are none
	Heads     map[string]*publication.Head // by ring
	Overrides *publication.Overrides       // nil: there are none
	// Faults are the documents that are there and cannot be believed, by name.
	Faults map[string]error

	versions map[string]string // of the objects, by name
	claimed  map[string]uint64 // generations of what cannot be believed, by name
}

// Rings lists the rings that have a head, sorted.
func (s *State) Rings() []string { return slices.Sorted(maps.Keys(s.Heads)) }

// Generation is the highest generation of all heads.
func (s *State) Generation() uint64 {
	var most uint64
	for _, h := range s.Heads {
		most = max(most, h.Generation)
	}
	return most
}

func (s *Site) now() time.Time {
	if s.Now != nil {
		return s.Now().UTC()
	}
	return time.Now().UTC()
}

// Read reads and verifies everything but the contents. A document that cannot be believed is no error; it is in
// Faults. The error is about the bucket.
func (s *Site) Read(ctx context.Context) (*State, error) {
	st := &State{Heads: map[string]*publication.Head{}, Faults: map[string]error{}, versions: map[string]string{}, claimed: map[string]uint64{}}
	read := func(name string, accept func([]byte) error) error {
		text, err := s.get(ctx, st, name, publication.MaxDocument)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil
		case errors.Is(err, errLarge):
			st.Faults[name] = &publication.Error{Fault: publication.Bad, Name: name, Err: err}
			return nil
		}
		if err != nil {
			return err
		}
		if err := accept(text); err != nil {
			st.Faults[name], st.claimed[name] = err, claimed(text)
		}
		return nil
	}
	err := read(publication.KeysName, func(text []byte) (err error) {
		st.Keys, err = s.Trust.AcceptKeys(text, s.now())
		return err
	})
	if err != nil {
		return nil, err
	}
	err = read(publication.OverridesName, func(text []byte) (err error) {
		st.Overrides, err = s.Trust.AcceptOverrides(text, s.now())
		return err
	})
	if err != nil {
		return nil, err
	}
	rings, err := s.rings(ctx)
	if errors.Is(err, errMany) {
		st.Faults[publication.RingsPrefix] = err
	} else if err != nil {
		return nil, err
	}
	for _, ring := range rings {
		err := read(publication.HeadName(ring), func(text []byte) error {
			h, err := s.Trust.AcceptHead(ring, text, s.now())
			if err == nil {
				st.Heads[ring] = h
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return st, nil
}

// claimed returns the generation that a document has which nobody has verified; 0: none.
func claimed(text []byte) uint64 {
	var meta struct {
		Generation uint64 `json:"generation"`
	}
	if c, err := envelope.Peek(text); err == nil {
		_ = json.Unmarshal(c.Payload, &meta) // what is no number counts as none
	}
	return meta.Generation
}

// heads returns the names of the heads of rings.
func heads(rings []string) (names []string) {
	for _, ring := range rings {
		names = append(names, publication.HeadName(ring))
	}
	return names
}

// maxRings bounds how many rings a publication may have, maxListed the objects beside them.
const maxRings, maxListed = 100, 2000

// Faults of what a bucket has. Whoever can write to it must not stop the emergency switch by them.
var (
	errLarge = errors.New("it is too large")
	errMany  = fmt.Errorf("there are more than %d rings, or other objects: delete what nobody needs", maxRings)
)

func (s *Site) rings(ctx context.Context) (out []string, err error) {
	listed := 0
	for at, err := range s.Bucket.List(ctx, publication.RingsPrefix, "") {
		if err != nil {
			return nil, fmt.Errorf("list the rings: %w", err)
		}
		if listed++; listed > maxListed || len(out) == maxRings {
			return out, errMany
		}
		ring, ok := strings.CutSuffix(strings.TrimPrefix(at.Key, publication.RingsPrefix), "/head.json")
		if !ok || publication.CheckName(ring) != nil {
			continue
		}
		out = append(out, ring)
	}
	return out, nil
}

// get reads an object and remembers its version.
func (s *Site) get(ctx context.Context, st *State, name string, most int64) ([]byte, error) {
	body, at, err := s.Bucket.Get(ctx, name, 0, -1)
	if err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", name, s.Bucket, err)
	}
	defer func() { _ = body.Close() }() // it was only read
	st.versions[name] = at.Version
	text, err := io.ReadAll(io.LimitReader(body, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%w: more than %d bytes", errLarge, most)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", name, s.Bucket, err)
	}
	return text, nil
}

// Content reads a content and verifies it.
func (s *Site) Content(ctx context.Context, sha256 string, bytes int64) ([]byte, error) {
	text, err := s.get(ctx, &State{versions: map[string]string{}}, publication.ContentName(sha256), bytes)
	if err != nil {
		return nil, err
	}
	if publication.Hash(text) != sha256 {
		return nil, fmt.Errorf("%s of %s does not have the hash in its name", publication.ContentName(sha256), s.Bucket)
	}
	return text, nil
}

// Document reads a document or a content as it is stored, for a copy of it. A signed document must still be the one that
// st has: ErrChanged says that it is not.
func (s *Site) Document(ctx context.Context, st *State, name string) ([]byte, error) {
	at := &State{versions: map[string]string{}}
	text, err := s.get(ctx, at, name, max(publication.MaxDocument, maxContent))
	if err != nil {
		return nil, err
	}
	switch was := st.versions[name]; {
	case strings.HasPrefix(name, publication.ContentPrefix):
		if publication.ContentName(publication.Hash(text)) != name {
			return nil, fmt.Errorf("%s of %s does not have the hash in its name", name, s.Bucket)
		}
	case was != at.versions[name]:
		return nil, fmt.Errorf("%s: %w", name, ErrChanged)
	}
	return text, nil
}

// maxContent bounds a config. The largest real ones have some 100 KB.
const maxContent = 16 << 20

// The headers of what is written: documents must never come from a cache, contents never change.
var (
	documentHeader = store.Header{ContentType: "application/json", CacheControl: "no-store"}
	contentHeader  = store.Header{ContentType: "application/yaml", CacheControl: "public, max-age=31536000, immutable"}
)

// WriteContent writes a content that no head names yet. It does nothing if the content is there.
func (s *Site) WriteContent(ctx context.Context, text []byte) error {
	sum := publication.Hash(text)
	_, err := s.Bucket.Put(ctx, publication.ContentName(sum), store.Bytes(text), contentHeader, "")
	if errors.Is(err, store.ErrExists) { // from an earlier publication, or somebody put other bytes there
		_, err = s.Content(ctx, sum, int64(len(text)))
	}
	if err != nil {
		return fmt.Errorf("write the content: %w", err)
	}
	return nil
}

// Change is a new publication.
type Change struct {
	Rings   []string
	Content []byte // must have passed the checks of a configuration
	By, Why string
}

// Publish writes the content and then the heads of the rings, in their order, all with one new generation. st is what
// Read returned. It returns the new heads; with an error, those that were written before it. The error is ErrChanged
// when another publication came between.
func (s *Site) Publish(ctx context.Context, st *State, with envelope.Signer, c Change) ([]*publication.Head, error) {
	if err := s.WriteContent(ctx, c.Content); err != nil {
		return nil, err
	}
	now := s.now()
	generation := s.next(st, now, st.Generation(), heads(c.Rings)...)
	var done []*publication.Head
	for _, ring := range c.Rings {
		h := &publication.Head{
			Meta: s.meta(generation, now), Ring: ring, SHA256: publication.Hash(c.Content), Bytes: int64(len(c.Content)),
			PublishedAt: now, By: c.By, Why: c.Why, Previous: history(st.Heads[ring], nil),
		}
		if err := s.head(ctx, st, with, h); err != nil {
			return done, err
		}
		done = append(done, h)
	}
	return done, nil
}

// Rollback publishes again what a ring used before, under a new generation, for each of the rings. to is the generation
// to return to; 0 means the newest one that is neither the present content nor was taken back before.
func (s *Site) Rollback(ctx context.Context, st *State, with envelope.Signer, rings []string, to uint64, by, why string) ([]*publication.Head, error) {
	now := s.now()
	generation := s.next(st, now, st.Generation(), heads(rings)...)
	var next []*publication.Head
	for _, ring := range rings { // first all, so that one ring without a past changes none
		at := st.Heads[ring]
		if at == nil {
			return nil, fmt.Errorf("ring %s: %w", ring, ErrNoRing)
		}
		target := Earlier(at, to)
		if target == nil {
			return nil, fmt.Errorf("ring %s: %w", ring, ErrNothing)
		}
		if _, err := s.Content(ctx, target.SHA256, target.Bytes); err != nil {
			return nil, fmt.Errorf("ring %s: generation %d: %w", ring, target.Generation, err)
		}
		next = append(next, &publication.Head{
			Meta: s.meta(generation, now), Ring: ring, SHA256: target.SHA256, Bytes: target.Bytes,
			PublishedAt: now, By: by, Why: why, Previous: history(at, target),
		})
	}
	for i, h := range next {
		if err := s.head(ctx, st, with, h); err != nil {
			return next[:i], err
		}
	}
	return next, nil
}

// Earlier returns the publication that a rollback of h returns to; nil: there is none.
func Earlier(h *publication.Head, to uint64) *publication.Earlier {
	undone := map[string]bool{h.SHA256: true}
	for i := range h.Previous {
		e := &h.Previous[i]
		undone[e.SHA256] = undone[e.SHA256] || e.Undone
		if to == e.Generation || to == 0 && !undone[e.SHA256] {
			return e
		}
	}
	return nil
}

// history returns the publications before the one that replaces h. If that one is a rollback, it takes back all that
// came after its target.
func history(h *publication.Head, target *publication.Earlier) []publication.Earlier {
	if h == nil {
		return nil
	}
	out := append([]publication.Earlier{{
		Generation: h.Generation, SHA256: h.SHA256, Bytes: h.Bytes, PublishedAt: h.PublishedAt, By: h.By, Why: h.Why,
	}}, h.Previous...)
	for i := range out {
		out[i].Undone = out[i].Undone || target != nil && out[i].Generation > target.Generation && out[i].SHA256 != target.SHA256
	}
	return out[:min(len(out), publication.MaxPrevious)]
}

// Refresh signs again what is there, so that it does not become stale: with config, the heads of the rings; with
// override, the overrides; with root, the set of keys. A nil signer leaves its documents alone.
func (s *Site) Refresh(ctx context.Context, st *State, root, config, override envelope.Signer) error {
	now := s.now()
	if root != nil && st.Keys != nil {
		k := *st.Keys
		k.SignedAt = later(now, k.SignedAt)
		if err := s.swap(ctx, st, root, publication.KeysName, &k); err != nil {
			return err
		}
	}
	if override != nil && st.Overrides != nil {
		o := *st.Overrides
		o.SignedAt = later(now, o.SignedAt)
		if err := s.swap(ctx, st, override, publication.OverridesName, &o); err != nil {
			return err
		}
	}
	if config == nil {
		return nil
	}
	for _, ring := range st.Rings() {
		h := *st.Heads[ring]
		h.SignedAt = later(now, h.SignedAt)
		if err := s.head(ctx, st, config, &h); err != nil {
			return err
		}
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// SetOverrides replaces the list of overrides.
func (s *Site) SetOverrides(ctx context.Context, st *State, with envelope.Signer, list []publication.Override) (*publication.Overrides, error) {
	now := s.now()
	// Somebody may have deleted the last ones. The switch must work all the same.
	o := &publication.Overrides{Meta: s.meta(max(recovered(now), s.next(st, now, 0, publication.OverridesName)), now), Overrides: list}
	if list == nil {
		o.Overrides = []publication.Override{}
	}
	if st.Overrides != nil {
		o.Meta = s.meta(s.next(st, now, st.Overrides.Generation), now)
	}
	return o, s.swap(ctx, st, with, publication.OverridesName, o)
}

// SetKeys replaces the set of keys. Version, deployment, generation and time are filled in.
func (s *Site) SetKeys(ctx context.Context, st *State, root envelope.Signer, k publication.Keys) (*publication.Keys, error) {
	var was uint64
	if st.Keys != nil {
		was = st.Keys.Generation
	}
	now := s.now()
	k.Meta = s.meta(s.next(st, now, was, publication.KeysName), now)
	return &k, s.swap(ctx, st, root, publication.KeysName, &k)
}

// next returns the generation after one, for documents with some names.
func (s *Site) next(st *State, now time.Time, was uint64, names ...string) uint64 {
	if !s.Replace {
		return was + 1
	}
	for _, name := range names {
		if c := st.claimed[name]; c <= recovered(now.Add(publication.MaxSkew)) { // no reader has accepted a higher one
			was = max(was, c)
		}
	}
	return max(was+1, recovered(now))
}

// recovered is a generation above those of documents that are gone. What is counted up is much lower, and nothing is
// above the time of its signature.
func recovered(now time.Time) uint64 { return uint64(max(1, now.Unix())) }

func (s *Site) meta(generation uint64, now time.Time) publication.Meta {
	if least := time.Unix(int64(generation), 0).UTC(); now.Before(least) { // readers want this; a little is no fault
		now = least
	}
	return publication.Meta{Version: publication.Version, Deployment: s.Trust.Deployment, Generation: generation, SignedAt: now}
}

// maxHead bounds the JSON of a head. AWS KMS signs at most 4096 bytes, of which the type of the document takes some.
const maxHead = 4000

// shorten drops the oldest publications from a head that a key service would not sign. One stays, for a rollback.
func shorten(h *publication.Head) {
	for len(h.Previous) > 1 {
		if text, err := json.Marshal(h); err != nil || len(text) <= maxHead {
			return
		}
		h.Previous = h.Previous[:len(h.Previous)-1]
	}
}

func (s *Site) head(ctx context.Context, st *State, with envelope.Signer, h *publication.Head) error {
	shorten(h)
	if err := s.swap(ctx, st, with, publication.HeadName(h.Ring), h); err != nil {
		return err
	}
	st.Heads[h.Ring] = h
	return nil
}

// swap signs and writes a document if it has not changed since it was read. A document with a fault is replaced only if
// Replace says so: the operator has to look first.
func (s *Site) swap(ctx context.Context, st *State, with envelope.Signer, name string, document interface{ Check() error }) error {
	if err := st.Faults[name]; err != nil && !s.Replace {
		return fmt.Errorf("what is there cannot be believed: %w", err)
	}
	text, err := publication.Sign(ctx, with, document)
	if err != nil {
		return err
	}
	if err := s.readable(name, text); err != nil {
		return fmt.Errorf("instances would refuse this: %w", err)
	}
	at, err := s.Bucket.Put(ctx, name, store.Bytes(text), documentHeader, st.versions[name])
	switch {
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrExists):
		return fmt.Errorf("%s: %w", name, ErrChanged)
	case err != nil:
		return fmt.Errorf("write %s: %w", name, err)
	}
	st.versions[name] = at.Version
	return nil
}

// readable reports why instances would not believe a document, for instance because its key may not sign it.
func (s *Site) readable(name string, text []byte) (err error) {
	trust := *s.Trust // what it accepts here must not count before it is written
	switch name {
	case publication.KeysName:
		_, err = trust.AcceptKeys(text, s.now())
	case publication.OverridesName:
		_, err = trust.AcceptOverrides(text, s.now())
	default:
		_, err = trust.OpenHead(strings.TrimSuffix(strings.TrimPrefix(name, publication.RingsPrefix), "/head.json"), text, s.now())
	}
	return err
}
