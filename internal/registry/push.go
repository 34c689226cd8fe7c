package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"ociproxy/internal/oci"
	"ociproxy/internal/wait"
)

const (
	// maxSessions bounds the uploads that refused mounts have started and that are not used yet.
	maxSessions = 256
	// maxPushes is how often a blob is sent before the client gives up.
	maxPushes = 3
)

// Mount makes a blob of another repository on the same host appear in repo without sending its bytes. from is that
// repository's name on the host: [Registry.Path] of the registry it belongs to. Mount returns false when the host wants
// the bytes instead.
func (r *Registry) Mount(ctx context.Context, repo string, d oci.Digest, from string) (bool, error) {
	mounted, err := r.mount(ctx, repo, d, from)
	if err != nil {
		return false, fmt.Errorf("mount %s from %s: %w", r.spell(repo, d.String()), clean(from), err)
	}
	return mounted, nil
}

func (r *Registry) mount(ctx context.Context, repo string, d oci.Digest, from string) (bool, error) {
	if err := r.checkRepo(repo); err != nil {
		return false, err
	}
	if !oci.ValidName(from) {
		return false, fmt.Errorf("repository %q: invalid name", clean(from))
	}
	c := call{
		method: http.MethodPost, url: r.url(r.Path(repo)+"/blobs/uploads/", url.Values{"mount": {d.String()}, "from": {from}}),
		scopes: append(r.push(repo), "repository:"+from+":pull"),
	}
	resp, err := r.do(ctx, c, http.StatusCreated, http.StatusAccepted)
	if err != nil {
		return false, err
	}
	discard(resp)
	if resp.StatusCode == http.StatusCreated {
		if d.Algorithm() == "sha256" {
			return true, nil
		}
		// distribution stores content by sha256, and a mount under another digest makes a link to nothing.
		_, err := r.statBlob(ctx, repo, d)
		if errors.Is(err, ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	}
	if session, err := r.location(c.url, resp); err == nil {
		r.keep(repo, d, session)
	}
	return false, nil
}

// keep remembers an upload that the host has started, for PushBlob. When maxSessions are kept, it drops the upload, and
// the host cleans it up.
func (r *Registry) keep(repo string, d oci.Digest, session *url.URL) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.sessions) < maxSessions {
		r.sessions[repo+"@"+d.String()] = session
	}
}

// kept takes an upload that a mount has started, or returns nil.
func (r *Registry) kept(repo string, d oci.Digest) *url.URL {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := repo + "@" + d.String()
	session := r.sessions[key]
	delete(r.sessions, key)
	return session
}

// PushBlob sends a blob of size bytes; the host compares the digest. When an attempt fails, PushBlob reads src from the
// beginning again. When the host answers "too many requests", PushBlob waits as for other requests. The caller has to
// check whether the registry already has the blob ([Registry.StatBlob]).
func (r *Registry) PushBlob(ctx context.Context, repo string, d oci.Digest, size int64, src io.ReaderAt) error {
	err := r.checkRepo(repo)
	for failed, throttled := 0, 0; err == nil; {
		if err = r.pushBlob(ctx, repo, d, size, src); err == nil {
			return nil
		}
		var pause time.Duration
		if errors.Is(err, errTurnedAway) && throttled < maxThrottled {
			throttled++
			pause = backoff(time.Second, throttled, time.Minute)
		} else {
			failed++
			pause = backoff(time.Second, failed, 10*time.Second)
		}
		if ctx.Err() != nil || failed == maxPushes || !worthwhile(err) {
			break
		}
		err = wait.For(ctx, pause)
	}
	return fmt.Errorf("push blob %s: %w", r.spell(repo, d.String()), err)
}

// worthwhile reports whether sending a blob again may help. It does not help when the host understood the request and
// refused it.
func worthwhile(err error) bool {
	if errors.Is(err, errSource) || errors.Is(err, ErrBadAnswer) || errors.Is(err, ErrRedirect) {
		return false
	}
	refusal, ok := errors.AsType[*StatusError](err)
	if !ok {
		return true
	}
	switch refusal.Code {
	// A token may have expired on the way, or the host has forgotten the upload.
	case http.StatusUnauthorized, http.StatusNotFound, http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusRequestedRangeNotSatisfiable:
		return true
	}
	return refusal.Code >= 500
}

func (r *Registry) pushBlob(ctx context.Context, repo string, d oci.Digest, size int64, src io.ReaderAt) error {
	session := r.kept(repo, d)
	if session == nil {
		c := call{method: http.MethodPost, url: r.url(r.Path(repo)+"/blobs/uploads/", nil), scopes: r.push(repo)}
		resp, err := r.do(ctx, c, http.StatusAccepted)
		if err != nil {
			return err
		}
		discard(resp)
		if session, err = r.location(c.url, resp); err != nil {
			return err
		}
	}
	query := session.Query()
	query.Set("digest", d.String())
	target := *session
	target.RawQuery = query.Encode()

	if err := acquire(ctx, r.budget.streams); err != nil {
		return err
	}
	defer release(r.budget.streams)
	watch := &source{r: src}
	c := call{
		method: http.MethodPut, url: &target, scopes: r.push(repo), size: size,
		header: http.Header{"Content-Type": {"application/octet-stream"}},
		stream: func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(watch, 0, size)), nil },
	}
	if size == 0 {
		c.stream, c.body = nil, []byte{}
	}
	resp, err := r.do(streaming(ctx), c, http.StatusCreated, http.StatusNoContent)
	switch {
	case err == nil:
	case watch.err != nil:
		return fmt.Errorf("%w: %w", errSource, watch.err)
	case c.stream != nil && errors.Is(err, ErrThrottled):
		return fmt.Errorf("%w: %w", errTurnedAway, err)
	default:
		return err
	}
	discard(resp)
	return said(resp, d)
}

var (
	// errSource means that the bytes to send could not be read.
	errSource = errors.New("read what is to be sent")
	// errTurnedAway means that the host is overloaded and did not take the bytes. The transport below does not repeat
	// such a request.
	errTurnedAway = errors.New("the upload was turned away")
)

// source keeps the error of a reader, because the transport would hide it.
type source struct {
	r   io.ReaderAt
	err error
}

// ReadAt implements [io.ReaderAt].
func (s *source) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.r.ReadAt(p, off)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// location returns the URL at which an upload continues. It stays on the host, so the credentials stay there too.
func (r *Registry) location(base *url.URL, resp *http.Response) (*url.URL, error) {
	text := resp.Header.Get("Location")
	if text == "" {
		return nil, errLocation
	}
	u, err := follow(base, text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errLocation, err)
	}
	return u, nil
}

// said makes sure that the digest that the host reports as taken is the one that was sent.
func said(resp *http.Response, d oci.Digest) error {
	got, err := oci.ParseDigest(resp.Header.Get("Docker-Content-Digest"))
	if err == nil && got != d && got.Algorithm() == d.Algorithm() {
		return fmt.Errorf("%w: the registry has taken %s", ErrDigest, got)
	}
	return nil
}

// PutOptions says how to push a manifest.
type PutOptions struct {
	// IfNoneMatch asks the registry to leave an existing tag alone. The error is then [ErrExists], unless the tag has
	// the same digest. Registries that do not support this move the tag, so check first.
	IfNoneMatch bool
	// ReadBack makes PutManifest read the reference again and compare it.
	ReadBack bool
}

// PutManifest pushes a manifest, byte for byte, under a tag or its digest. The registry must already have the content
// that the manifest refers to.
func (r *Registry) PutManifest(ctx context.Context, repo, ref string, m *Manifest, opt PutOptions) (Descriptor, error) {
	if err := r.putManifest(ctx, repo, ref, m, opt); err != nil {
		return Descriptor{}, fmt.Errorf("push %s: %w", r.spell(repo, ref), err)
	}
	return m.Descriptor, nil
}

func (r *Registry) putManifest(ctx context.Context, repo, ref string, m *Manifest, opt PutOptions) error {
	want, err := r.check(repo, ref)
	if err != nil {
		return err
	}
	if !want.IsZero() && want != m.Digest {
		return fmt.Errorf("%w: the manifest is %s", ErrDigest, m.Digest)
	}
	c := call{
		method: http.MethodPut, url: r.url(r.Path(repo)+"/manifests/"+ref, nil), scopes: r.push(repo), body: m.Raw,
		header: http.Header{"Content-Type": {m.MediaType}},
	}
	if opt.IfNoneMatch {
		c.header.Set("If-None-Match", "*")
	}
	resp, err := r.do(ctx, c, http.StatusCreated, http.StatusOK, http.StatusAccepted, http.StatusNoContent)
	if refusal, ok := errors.AsType[*StatusError](err); ok && opt.IfNoneMatch && refusal.Code == http.StatusPreconditionFailed {
		// The existing manifest may be our own: the answer to an earlier attempt may have been lost.
		return r.compare(ctx, repo, ref, m)
	}
	if err != nil {
		return err
	}
	discard(resp)
	if err := said(resp, m.Digest); err != nil || !opt.ReadBack {
		return err
	}
	return r.compare(ctx, repo, ref, m)
}

// compare makes sure that a reference leads to a manifest.
func (r *Registry) compare(ctx context.Context, repo, ref string, m *Manifest) error {
	have, err := r.manifest(ctx, repo, ref)
	if err != nil {
		return fmt.Errorf("read what is there: %w", err)
	}
	if !have.matches(m.Digest) {
		return fmt.Errorf("%w: %s", ErrExists, have.Digest)
	}
	return nil
}
