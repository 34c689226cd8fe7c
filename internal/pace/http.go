package pace

import (
	"context"
	"io"
	"net/http"
)

// RoundTrip sends a request through next. If the transfer is slower than least in either direction, RoundTrip ends
// the request. Then why is the error of RoundTrip or of reading the response. Time in which the caller does not read
// the response, or has nothing to send yet, does not count. The caller must close the response's body.
func RoundTrip(next http.RoundTripper, req *http.Request, least Minimum, why error) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	slow := func() { cancel(why) }
	out := least.Watch(slow)
	req = req.WithContext(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = &sent{req.Body, out}
	}
	out.Wait()
	resp, err := next.RoundTrip(req)
	out.Stop() // from now on, only reading counts
	if err != nil {
		err = explain(ctx, err, why)
		cancel(nil)
		return nil, err
	}
	resp.Body = &received{resp.Body, least.Watch(slow), ctx, cancel, why}
	return resp, nil
}

// explain returns why if the request ended because it was too slow, else err.
func explain(ctx context.Context, err, why error) error {
	if context.Cause(ctx) == why { //nolint:errorlint // the same error value
		return why
	}
	return err
}

// sent is the body of a request.
type sent struct {
	io.ReadCloser
	watch *Watch
}

func (s *sent) Read(p []byte) (int, error) { return s.watch.Send(s.ReadCloser, p) }

// received is the body of a response.
type received struct {
	io.ReadCloser
	watch  *Watch
	ctx    context.Context // the request's context, for the reason of its end
	cancel context.CancelCauseFunc
	why    error
}

func (r *received) Read(p []byte) (int, error) {
	n, err := r.watch.Read(r.ReadCloser, p)
	if err != nil && err != io.EOF { //nolint:errorlint // readers return io.EOF itself
		err = explain(r.ctx, err, r.why)
	}
	return n, err
}

func (r *received) Close() error {
	r.watch.Stop()
	r.cancel(nil)
	return r.ReadCloser.Close()
}
