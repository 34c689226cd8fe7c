package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ociproxy/internal/oci"
)

// FallbackTag returns the tag under which registries without a referrers API keep the index of the referrers of d
// (distribution-spec, "Referrers Tag Schema").
func FallbackTag(d oci.Digest) string {
	algorithm, encoded := d.Algorithm(), d.Hex()
	tag := []byte(algorithm[:min(len(algorithm), 32)] + "-" + encoded[:min(len(encoded), 64)])
	for i, c := range tag {
		if c == '+' || c == '=' {
			tag[i] = '-'
		}
	}
	return string(tag)
}

// Referrers returns the manifests whose subject is d, and whether the registry has an API for that. Without one, it
// returns the manifests in the index of the fallback tag. It remembers that the API is absent, so this costs one
// request for all repositories. With an error, it returns the referrers that are known nevertheless.
func (r *Registry) Referrers(ctx context.Context, repo string, d oci.Digest) (refs []Descriptor, api bool, err error) {
	if !r.noReferrers.Load() {
		if refs, api, err = r.referrers(ctx, repo, d); api || err != nil {
			return refs, api, r.aboutReferrers(repo, d, err)
		}
	}
	m, err := r.manifest(ctx, repo, FallbackTag(d))
	if errors.Is(err, ErrNotFound) {
		return nil, false, nil
	}
	if torn, ok := errors.AsType[*TornError](err); ok && isIndex(torn.Rest.MediaType) {
		return torn.Rest.Children(), false, r.aboutReferrers(repo, d, err)
	}
	if err != nil {
		return nil, false, r.aboutReferrers(repo, d, err)
	}
	if !isIndex(m.MediaType) {
		return nil, false, nil // an unrelated tag with such a name
	}
	return m.Children(), false, nil
}

func (r *Registry) aboutReferrers(repo string, d oci.Digest, err error) error {
	if err != nil {
		err = fmt.Errorf("list referrers of %s: %w", r.spell(repo, d.String()), err)
	}
	return err
}

// referrers asks the API; without one, api is false and there is no error.
func (r *Registry) referrers(ctx context.Context, repo string, d oci.Digest) (refs []Descriptor, api bool, err error) {
	if err := r.checkRepo(repo); err != nil {
		return nil, false, err
	}
	c := call{
		method: http.MethodGet, url: r.url(r.Path(repo)+"/referrers/"+d.String(), nil), scopes: r.pull(repo),
		header: http.Header{"Accept": {ocispec.MediaTypeImageIndex}},
	}
	seen := map[oci.Digest]bool{}
	var unusable error // entries that cannot be followed
	errNoAPI := errors.New("no API")
	err = r.pages(ctx, c, func(raw []byte) (int, error) {
		m, err := ParseManifest(raw, "")
		if torn, ok := errors.AsType[*TornError](err); ok {
			m, unusable, err = torn.Rest, cmp.Or(unusable, err), nil
		}
		if err != nil || !isIndex(m.MediaType) {
			if len(refs) > 0 || errors.Is(err, ErrTooLarge) {
				return 0, errors.Join(ErrBadAnswer, err)
			}
			return 0, errNoAPI // a page for browsers, or another API
		}
		for _, child := range m.Children() {
			if !seen[child.Digest] {
				seen[child.Digest] = true
				refs = append(refs, child)
			}
		}
		return len(m.Children()), nil
	})
	if err == nil || len(refs) > 0 {
		return refs, true, cmp.Or(err, unusable)
	}
	if errors.Is(err, errNoAPI) {
		r.noReferrers.Store(true)
		return nil, false, nil
	}
	if refusal, ok := errors.AsType[*StatusError](err); ok {
		switch refusal.Code {
		case http.StatusNotFound, http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusNotImplemented:
			// A registry may answer 404 for a repository that it does not have. That says nothing about other
			// repositories.
			if !refusal.has("NAME_UNKNOWN", "MANIFEST_UNKNOWN", "NAME_INVALID") {
				r.noReferrers.Store(true)
			}
			return nil, false, nil
		}
	}
	return nil, false, err
}
