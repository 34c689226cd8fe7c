package registry

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"

	"ociproxy/internal/oci"
)

// Resolve returns what a tag or digest refers to, without its content. It does not report platform and annotations. The
// error is [ErrNotFound] when the repository does not have it.
func (r *Registry) Resolve(ctx context.Context, repo, ref string) (Descriptor, error) {
	d, err := r.resolve(ctx, repo, ref)
	if err != nil {
		return Descriptor{}, fmt.Errorf("resolve %s: %w", r.spell(repo, ref), err)
	}
	return d, nil
}

func (r *Registry) resolve(ctx context.Context, repo, ref string) (d Descriptor, err error) {
	want, err := r.check(repo, ref)
	if err != nil {
		return d, err
	}
	resp, err := r.do(ctx, r.manifestCall(http.MethodHead, repo, ref), http.StatusOK, http.StatusMethodNotAllowed)
	if err != nil {
		return d, err
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusOK && resp.ContentLength >= 0 {
		got, _ := oci.ParseDigest(resp.Header.Get("Docker-Content-Digest"))
		if want.IsZero() {
			want = got
		} else if !got.IsZero() && got != want && got.Algorithm() == want.Algorithm() {
			return d, fmt.Errorf("%w: the registry says %s", ErrDigest, got)
		}
		if t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && !vague(t) && !want.IsZero() {
			return Descriptor{Digest: want, MediaType: t, Size: resp.ContentLength}, nil
		}
	}
	// The answer to HEAD says too little: read the manifest.
	m, err := r.manifest(ctx, repo, ref)
	if err != nil {
		return d, err
	}
	return m.Descriptor, nil
}

// Manifest reads a manifest. Its digest is the requested one. For a tag, its digest is the one that the registry
// reported if the bytes match it, and otherwise their sha256. Errors wrap [ErrNotFound], [ErrDigest], [ErrInvalid] or
// [ErrTooLarge].
func (r *Registry) Manifest(ctx context.Context, repo, ref string) (*Manifest, error) {
	m, err := r.manifest(ctx, repo, ref)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", r.spell(repo, ref), err)
	}
	return m, nil
}

func (r *Registry) manifest(ctx context.Context, repo, ref string) (*Manifest, error) {
	want, err := r.check(repo, ref)
	if err != nil {
		return nil, err
	}
	resp, err := r.do(ctx, r.manifestCall(http.MethodGet, repo, ref), http.StatusOK)
	if err != nil {
		return nil, err
	}
	raw, err := r.whole(resp, MaxManifest)
	if err != nil {
		return nil, err
	}
	if want.IsZero() {
		if want, _ = oci.ParseDigest(resp.Header.Get("Docker-Content-Digest")); !want.InStores() {
			want = oci.Digest{} // not a digest that we can check
		}
	}
	m, err := ParseManifest(raw, resp.Header.Get("Content-Type"))
	if err != nil {
		// When the bytes are not the requested ones, report that: it is the cause of the parse error.
		if !want.IsZero() && oci.Sum(want.Algorithm(), raw) != want {
			return nil, fmt.Errorf("%w: %d bytes that are not %s", ErrDigest, len(raw), want)
		}
		torn, ok := errors.AsType[*TornError](err)
		if !ok && errors.Is(err, ErrInvalid) {
			none := &Manifest{Raw: raw, Descriptor: Descriptor{Digest: oci.Sum("sha256", raw), Size: int64(len(raw))}}
			torn = &TornError{none, err}
			err = torn
		}
		if torn != nil && !want.IsZero() {
			torn.Rest.Digest = want
		}
		return nil, err
	}
	if !want.IsZero() {
		if !m.matches(want) {
			return nil, fmt.Errorf("%w: got %s, want %s", ErrDigest, m.Digest, want)
		}
		m.Digest = want
	}
	return m, nil
}

// Child reads content that an index refers to.
//
// The rule for unknown kinds: content with the media type of a layer or config is a blob (the caches of BuildKit are
// such indexes). Child requests everything else as a manifest. If the registry has no such manifest, and the media type
// is not certainly one of manifests, the content is a blob. For a blob, blob is true and the manifest is nil: copy the
// blob; there is nothing to walk.
func (r *Registry) Child(ctx context.Context, repo string, d Descriptor) (m *Manifest, blob bool, err error) {
	if isBlob(d.MediaType) {
		return nil, true, nil
	}
	m, err = r.Manifest(ctx, repo, d.Digest.String())
	if err != nil && !isManifest(d.MediaType) && errors.Is(err, ErrNotFound) {
		return nil, true, nil
	}
	if err == nil && d.Size >= 0 && m.Size != d.Size {
		return nil, false, fmt.Errorf("read %s: %w: %d bytes, the index says %d", r.spell(repo, d.Digest.String()), ErrInvalid, m.Size, d.Size)
	}
	return m, false, err
}

// check validates repository and reference; the digest is zero for a tag.
func (r *Registry) check(repo, ref string) (oci.Digest, error) {
	if err := r.checkRepo(repo); err != nil {
		return oci.Digest{}, err
	}
	return checkRef(ref)
}

func (r *Registry) manifestCall(method, repo, ref string) call {
	return call{
		method: method, url: r.url(r.Path(repo)+"/manifests/"+ref, nil), scopes: r.pull(repo),
		header: http.Header{"Accept": acceptManifest},
	}
}
