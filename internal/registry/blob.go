package registry

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"

	"golang.org/x/time/rate"

	"ociproxy/internal/oci"
)

// OpenBlob opens a blob from byte off on, and returns the size of the complete blob, or -1 when the registry does not
// report it. Reading ends with an error when bytes are missing. The caller has to compare the digest, since only the
// caller knows the bytes before off.
//
// OpenBlob waits while as many blobs are open as the budget allows. The caller closes the body.
func (r *Registry) OpenBlob(ctx context.Context, repo string, d oci.Digest, off int64) (io.ReadCloser, int64, error) {
	body, total, err := r.openBlob(ctx, repo, d, off)
	if err != nil {
		return nil, 0, fmt.Errorf("read blob %s: %w", r.spell(repo, d.String()), err)
	}
	return body, total, nil
}

func (r *Registry) openBlob(ctx context.Context, repo string, d oci.Digest, off int64) (io.ReadCloser, int64, error) {
	if err := r.checkRepo(repo); err != nil {
		return nil, 0, err
	}
	if err := acquire(ctx, r.budget.streams); err != nil {
		return nil, 0, err
	}
	free := sync.OnceFunc(func() { release(r.budget.streams) })
	ctx = streaming(ctx)
	c := r.blobCall(http.MethodGet, repo, d)
	if off > 0 {
		c.header = http.Header{"Range": {"bytes=" + strconv.FormatInt(off, 10) + "-"}}
	}
	resp, err := r.do(ctx, c, http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable)
	if err == nil && resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && resp.Header.Get("Content-Range") == "" {
		// The registry refuses the form of the range, not its position: some understand only "first-last". Ask for the
		// complete blob instead.
		discard(resp)
		c.header = nil
		resp, err = r.do(ctx, c, http.StatusOK) //nolint:bodyclose // the blob closes it
	}
	if err != nil {
		free()
		return nil, 0, err
	}
	b := &blob{body: resp.Body, ctx: ctx, limiter: r.bandwidth, free: free}
	total, err := b.start(resp, off)
	if err != nil {
		_ = b.Close() // the answer is useless
		return nil, 0, err
	}
	return b, total, nil
}

// StatBlob returns the size of a blob. The error is [ErrNotFound] when the repository does not have it.
func (r *Registry) StatBlob(ctx context.Context, repo string, d oci.Digest) (int64, error) {
	size, err := r.statBlob(ctx, repo, d)
	if err != nil {
		return 0, fmt.Errorf("look for blob %s: %w", r.spell(repo, d.String()), err)
	}
	return size, nil
}

func (r *Registry) statBlob(ctx context.Context, repo string, d oci.Digest) (int64, error) {
	if err := r.checkRepo(repo); err != nil {
		return 0, err
	}
	resp, err := r.do(ctx, r.blobCall(http.MethodHead, repo, d), http.StatusOK, http.StatusForbidden, http.StatusMethodNotAllowed)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusOK && resp.ContentLength >= 0 {
		return resp.ContentLength, nil
	}
	// Storage behind a redirect may accept only GET, because its URL is signed for one method. A request for one byte
	// returns the size.
	c := r.blobCall(http.MethodGet, repo, d)
	c.header = http.Header{"Range": {"bytes=0-0"}}
	resp, err = r.do(ctx, c, http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		if resp.ContentLength < 0 {
			return 0, fmt.Errorf("%w: no size", ErrBadAnswer)
		}
		return resp.ContentLength, nil
	}
	_, _, total, err := contentRange(resp.Header.Get("Content-Range"))
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrBadAnswer, err)
	}
	return total, nil
}

func (r *Registry) blobCall(method, repo string, d oci.Digest) call {
	return call{method: method, url: r.url(r.Path(repo)+"/blobs/"+d.String(), nil), scopes: r.pull(repo)}
}

// blob is the body of a blob.
type blob struct {
	body    io.ReadCloser
	ctx     context.Context
	limiter *rate.Limiter
	left    int64 // bytes still to come; negative when unknown
	free    func()
}

// start makes sure that the answer begins at off, and returns the size of the complete blob.
func (b *blob) start(resp *http.Response, off int64) (int64, error) {
	if e := resp.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return 0, fmt.Errorf("%w: content-encoding %q", ErrBadAnswer, clean(e))
	}
	if resp.StatusCode == http.StatusOK {
		// The registry sends the complete blob although a part was asked for. Read and discard the bytes before off.
		total := resp.ContentLength
		if total >= 0 && off > total {
			return 0, fmt.Errorf("%w: %d bytes, wanted from %d on", ErrBadAnswer, total, off)
		}
		b.left = total
		if _, err := io.CopyN(io.Discard, b, off); err != nil {
			return 0, fmt.Errorf("skip %d bytes: %w", off, err)
		}
		return total, nil
	}
	first, last, total, err := contentRange(resp.Header.Get("Content-Range"))
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w: %w", ErrBadAnswer, err)
	case first < 0 && resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && off == total:
		resp.Body.Close()
		b.body, b.left = http.NoBody, 0
		return total, nil
	case resp.StatusCode != http.StatusPartialContent || first != off || last != total-1 || resp.ContentLength >= 0 && resp.ContentLength != total-off:
		return 0, fmt.Errorf("%w: status %d with %q, asked from %d on", ErrBadAnswer, resp.StatusCode, clean(resp.Header.Get("Content-Range")), off)
	}
	b.left = total - off
	return total, nil
}

// Read implements [io.Reader].
func (b *blob) Read(p []byte) (int, error) {
	if b.limiter != nil {
		p = p[:min(len(p), max(1, b.limiter.Burst()))]
	}
	n, err := b.body.Read(p)
	if b.limiter != nil && n > 0 {
		if err := b.limiter.WaitN(b.ctx, n); err != nil {
			return n, err
		}
	}
	if b.left >= 0 {
		if b.left -= int64(n); b.left < 0 {
			return n, fmt.Errorf("%w: more bytes than were announced", ErrBadAnswer)
		}
		if err == io.EOF && b.left > 0 {
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}

// Close implements [io.Closer].
func (b *blob) Close() error {
	err := b.body.Close()
	b.free()
	return err
}
