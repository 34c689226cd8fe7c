package apply

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ociproxy/internal/oci"
	"ociproxy/internal/promote/sign"
	"ociproxy/internal/registry"
)

// mergeTries is how often other writers may change a list while we add to it.
const mergeTries = 5

// merge makes a tag of the kind "sha256-…" list what m lists, in addition to what it lists already. A list of referrers
// becomes the union of both, if the registry has no API that lists referrers.
func (it *item) merge(ctx context.Context, s *site, tag string, m *registry.Manifest) (wrote bool, err error) {
	done, err := it.run.turns.take(ctx, s.Repository+":"+tag) // another image of this run may use the same tag
	if err != nil {
		return false, err
	}
	defer done()
	subject, err := oci.ParseDigest(strings.Replace(tag, "-", ":", 1))
	if len(m.Children()) == 0 && m.MediaType != ocispec.MediaTypeImageIndex || err != nil {
		return it.signature(ctx, s, tag, m)
	}
	_, api, err := s.host.reg.Referrers(ctx, s.repo, subject)
	if s.host.answers.note(err); err != nil || api {
		return false, err
	}
	return it.grow(ctx, s, tag, m, func(have *registry.Manifest) (*registry.Manifest, []byte, error) {
		next, err := union(have, m)
		return next, nil, err
	})
}

// signature handles a tag whose manifest has its content as layers, as cosign's have. It makes the tag hold what m
// holds, in addition to what it holds already.
func (it *item) signature(ctx context.Context, s *site, tag string, m *registry.Manifest) (wrote bool, err error) {
	return it.grow(ctx, s, tag, m, func(have *registry.Manifest) (*registry.Manifest, []byte, error) {
		return sign.Union(have, m)
	})
}

// grow sets a tag to m if there is none. Otherwise it sets the tag to the result of add: have itself if nothing is
// missing, or else a manifest and, if that needs a new one, its config.
func (it *item) grow(
	ctx context.Context, s *site, tag string, m *registry.Manifest, add func(have *registry.Manifest) (*registry.Manifest, []byte, error),
) (wrote bool, err error) {
	for range mergeTries {
		have, err := s.host.reg.Manifest(ctx, s.repo, tag)
		if s.host.answers.note(err); err != nil && !errors.Is(err, registry.ErrNotFound) {
			return wrote, err
		}
		next, was := m, oci.Digest{}
		if err == nil {
			if was = have.Digest; was == m.Digest {
				return wrote, nil
			}
			var config []byte
			if next, config, err = add(have); err != nil {
				return wrote, fmt.Errorf("%w: %w", errOther, err)
			}
			if next == have {
				return wrote, nil
			}
			if err := it.config(ctx, s, config); err != nil {
				return wrote, err
			}
		}
		switch err = it.write(ctx, s, Merge, tag, was, next); {
		case err == nil:
			wrote = true // check once more: another writer may have written between the read and the write
		case !errors.Is(err, registry.ErrExists):
			return wrote, err
		}
	}
	return wrote, fmt.Errorf("tag %s: it changes all the time", tag)
}

// config sends the config of a list that was made here; nil: there is none. The config goes to no store. The stores'
// inventories do not list it, so proxies send readers to the registry, until the next mirror pass copies it like any
// other blob.
func (it *item) config(ctx context.Context, s *site, raw []byte) error {
	if raw == nil {
		return nil
	}
	return s.host.push(ctx, s.repo, oci.Sum("sha256", raw), int64(len(raw)), bytes.NewReader(raw))
}

// beside does what signature does, for a tag that the plan does not name.
func (it *item) beside(ctx context.Context, s *site, tag string, m *registry.Manifest) error {
	if m == nil {
		return fmt.Errorf("tag %s: its manifest was not read", tag)
	}
	found, err := it.resolve(ctx, s, tag)
	if err != nil || found == m.Digest {
		return err
	}
	done, err := it.run.turns.take(ctx, s.Repository+":"+tag)
	if err != nil {
		return err
	}
	defer done()
	_, err = it.signature(ctx, s, tag, m)
	return err
}

// union returns an index with the entries of have, and those of add that have does not have. It returns have itself if
// nothing is missing.
func union(have, add *registry.Manifest) (*registry.Manifest, error) {
	var whole map[string]json.RawMessage
	var entries []json.RawMessage
	if err := json.Unmarshal(have.Raw, &whole); err != nil {
		return nil, err
	}
	if list, ok := whole["manifests"]; !ok {
		return nil, errors.New("it is no index")
	} else if err := json.Unmarshal(list, &entries); err != nil {
		return nil, err
	}
	seen := map[oci.Digest]bool{}
	for _, d := range have.Children() {
		seen[d.Digest] = true
	}
	more, err := entriesOf(add.Raw)
	if err != nil {
		return nil, err
	}
	before := len(entries)
	for _, e := range more {
		if !seen[e.digest] {
			seen[e.digest] = true
			entries = append(entries, e.raw)
		}
	}
	if len(entries) == before {
		return have, nil
	}
	if whole["manifests"], err = json.Marshal(entries); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(whole)
	if err != nil {
		return nil, err
	}
	return registry.ParseManifest(raw, have.MediaType)
}

// entry is one entry of an index, in its original text.
type entry struct {
	raw    json.RawMessage
	digest oci.Digest
}

func entriesOf(index []byte) ([]entry, error) {
	var whole struct {
		Manifests []json.RawMessage `json:"manifests"`
	}
	if err := json.Unmarshal(index, &whole); err != nil {
		return nil, err
	}
	out := make([]entry, len(whole.Manifests))
	for i, raw := range whole.Manifests {
		var d struct {
			Digest oci.Digest `json:"digest"`
		}
		if err := json.Unmarshal(raw, &d); err != nil {
			return nil, err
		}
		out[i] = entry{raw, d.Digest}
	}
	return out, nil
}

// lists returns the indexes of referrers that a destination without a referrers API needs, by their tags. They have all
// that was copied of what the source lists, by its tags or by its API.
func (it *item) lists() (map[string]*registry.Manifest, error) {
	copied := map[oci.Digest]bool{}
	for _, m := range it.referrers() {
		copied[m.Digest] = true
	}
	lists := map[string][]json.RawMessage{}
	listed := map[string]bool{} // tag@digest
	for tag, index := range it.closure.Indexes {
		entries, err := entriesOf(index.Raw) // in the source's own text
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if copied[e.digest] {
				lists[tag] = append(lists[tag], e.raw)
				listed[tag+"@"+e.digest.String()] = true
			}
		}
	}
	for _, m := range it.referrers() {
		tag := registry.FallbackTag(m.Subject().Digest)
		if listed[tag+"@"+m.Digest.String()] {
			continue
		}
		raw, err := json.Marshal(ocispec.Descriptor{
			MediaType: m.MediaType, Digest: digest.Digest(m.Digest.String()), Size: int64(len(m.Raw)), ArtifactType: m.ArtifactType, Annotations: m.Annotations,
		})
		if err != nil {
			return nil, err
		}
		lists[tag] = append(lists[tag], raw)
	}
	out := make(map[string]*registry.Manifest, len(lists))
	for tag, list := range lists {
		raw, err := json.Marshal(struct {
			SchemaVersion int               `json:"schemaVersion"`
			MediaType     string            `json:"mediaType"`
			Manifests     []json.RawMessage `json:"manifests"`
		}{2, ocispec.MediaTypeImageIndex, list})
		if err != nil {
			return nil, err
		}
		if out[tag], err = registry.ParseManifest(raw, ocispec.MediaTypeImageIndex); err != nil {
			return nil, err
		}
	}
	return out, nil
}
