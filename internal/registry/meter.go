package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"ociproxy/internal/outbound"
	"ociproxy/internal/pace"
	"ociproxy/internal/wait"
)

// These constants limit how often a request is repeated, when it can be repeated. A throttled host gets more attempts
// than a broken one.
const (
	maxFailed    = 4
	maxThrottled = 8
)

// meter is the transport below all others. It is below authentication too, so that each request for a token is counted,
// limited and repeated like other requests.
type meter struct {
	base     http.RoundTripper
	registry *Registry
	counts   bool // against the budget's rate; requests to other hosts are limited only in number and time
}

type streamKey struct{}

// streaming marks a request whose answer is a blob. It may take long, and takes a slot for blobs, not one for requests.
func streaming(ctx context.Context) context.Context { return context.WithValue(ctx, streamKey{}, true) }

// RoundTrip implements [http.RoundTripper]. The caller must close the body of the answer. When the context of req ends
// between two attempts, the error is that of the last attempt.
func (m *meter) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, why := wait.Noting(req.Context())
	resp, err := m.tries(req.WithContext(ctx))
	if err != nil {
		return nil, outbound.Explain(why(err))
	}
	return resp, nil
}

func (m *meter) tries(req *http.Request) (*http.Response, error) {
	if req.URL.Host == m.registry.host {
		// The library asks for https first when the registry is on this machine, and may fall back to http.
		if req.URL.Scheme != m.registry.scheme {
			req = req.Clone(req.Context())
			req.URL.Scheme = m.registry.scheme
		}
	} else if req.URL.Scheme == "http" && !m.registry.insecure {
		closeBody(req)
		return nil, fmt.Errorf("%w: %s is plain HTTP", ErrRedirect, req.URL.Host)
	}
	b, failed, throttled := m.registry.budget, 0, 0
	verdicts := m.registry.hosts.Of(req.URL.Host)
	for {
		began := time.Now()
		resp, err := m.once(req, verdicts)
		if err != nil && req.Context().Err() != nil {
			return nil, context.Cause(req.Context())
		}
		why := tried(resp, err)
		asked, told := after(resp)
		last := verdicts.Final(outbound.Outcome{Began: began, Err: why, Asked: max(asked, 0)})
		wait.Failed(req.Context(), why)
		var pause time.Duration
		switch {
		case told && !last && throttled < maxThrottled || told && !rewindable(req):
			throttled++
			// A host that says "at once" each time gets a pause nevertheless.
			pause = max(jittered(asked), verdicts.Pause(backoff(time.Second, throttled, time.Minute)))
		case !told && !last && passing(resp, err) && failed < maxFailed:
			failed++
			pause = verdicts.Pause(backoff(250*time.Millisecond, failed, 10*time.Second))
		default:
			if err == nil && !told && m.counts {
				b.ease()
			}
			if err == nil && last { // a host that has never answered well: this answer is all that is known about it
				refusal := statusError(resp)
				refusal.Home = m.counts
				resp.Body.Close()
				return nil, refusal
			}
			return resp, err
		}
		if told && m.counts {
			b.throttle(pause)
		}
		if !rewindable(req) {
			return resp, err
		}
		verdicts.Tell(m.registry.log, req.URL.Host, why, pause)
		if told && m.counts {
			pause = 0 // the next attempt waits in the budget
		}
		if resp != nil {
			discard(resp)
		}
		if err := wait.For(req.Context(), pause); err != nil {
			closeBody(req)
			return nil, err
		}
		if m.counts {
			b.retries.Add(1)
		}
		if req.GetBody != nil {
			body, err := req.GetBody()
			if err != nil {
				return nil, err
			}
			req = req.WithContext(req.Context())
			req.Body = body
		}
	}
}

// once makes one request as soon as the budget allows it.
func (m *meter) once(req *http.Request, verdicts *outbound.Verdicts) (resp *http.Response, err error) {
	b := m.registry.budget
	if err := acquire(req.Context(), b.slots); err != nil {
		closeBody(req)
		return nil, err
	}
	free := sync.OnceFunc(func() { release(b.slots) })
	if m.counts {
		if err := b.wait(req.Context()); err != nil {
			free()
			closeBody(req)
			return nil, err
		}
		b.requests.Add(1)
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	least := pace.Minimum{Bytes: pace.Window, Within: m.registry.timeout}
	slow := func(least pace.Minimum) func() {
		return func() { cancel(fmt.Errorf("%w: %w", ErrStalled, least.Err())) }
	}
	first := least
	if verdicts.New() {
		first.Within = min(first.Within, outbound.FirstAnswer)
	}
	sends := first.Watch(slow(first))
	out := req.WithContext(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		out.Body = &sending{req.Body, sends}
	}
	sends.Wait()
	resp, err = m.base.RoundTrip(out)
	sends.Stop()
	if err != nil {
		free()
		if errors.Is(context.Cause(ctx), ErrStalled) {
			err = context.Cause(ctx)
		}
		cancel(nil)
		return nil, err
	}
	if req.Context().Value(streamKey{}) != nil {
		free()
	}
	resp.Body = &body{resp.Body, ctx, cancel, least.Watch(slow(least)), free}
	return resp, nil
}

// after reports whether the host asks clients to wait, and for how long. The time is negative when the host does not
// say.
func after(resp *http.Response) (d time.Duration, told bool) {
	if resp == nil || resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return 0, false
	}
	d, ok := outbound.RetryAfter(resp.Header, time.Now())
	if !ok {
		// A 503 without a time may come from one broken backend. That is no reason for all callers to wait.
		return -1, resp.StatusCode == http.StatusTooManyRequests
	}
	return d, true
}

// jittered adds a random time to the wait that all clients got, so that they do not all return at once. It returns 0
// for a negative time.
func jittered(d time.Duration) time.Duration {
	if d < 0 {
		return 0
	}
	return d + rand.N(time.Second/4+d/16)
}

// passing reports whether a failure may be temporary.
func passing(resp *http.Response, err error) bool {
	if err != nil {
		return !errors.Is(err, ErrRedirect)
	}
	switch resp.StatusCode {
	case http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// tried returns the reason for which an attempt could be repeated, or nil when there is none.
func tried(resp *http.Response, err error) error {
	if asked, told := after(resp); err == nil && (told || passing(resp, nil)) {
		return &StatusError{Code: resp.StatusCode, Asked: max(asked, 0)}
	}
	return err
}

// rewindable reports whether a request can be sent again. Every request to a registry may be repeated: an upload that
// was started twice leaves one that is never finished, and registries clean those up.
func rewindable(req *http.Request) bool {
	return req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
}

// backoff returns a pause that doubles from first up to most, with jitter: half of it is random.
func backoff(first time.Duration, attempt int, most time.Duration) time.Duration {
	return wait.Jitter(wait.Doubled(first, attempt-1, most))
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

// discard reads the rest of a short answer, so that its connection can be reused, and closes it.
func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBody) // on an error the connection is not reused
	resp.Body.Close()
}

// sending is the body of a request. The host need not answer as long as it takes the body at the minimum pace.
type sending struct {
	io.ReadCloser
	watch *pace.Watch
}

func (s *sending) Read(p []byte) (int, error) { return s.watch.Send(s.ReadCloser, p) }

// body is the body of an answer. Time counts only while a caller waits for bytes, not while it processes them.
type body struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	watch  *pace.Watch
	free   func()
}

// expire ends reading. Any goroutine may call it.
func (b *body) expire() { b.cancel(ErrStalled) }

func (b *body) Read(p []byte) (int, error) {
	n, err := b.watch.Read(b.ReadCloser, p)
	if err != nil && !errors.Is(err, io.EOF) && b.ctx.Err() != nil {
		err = context.Cause(b.ctx)
	}
	return n, err
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.watch.Stop()
	b.cancel(nil)
	b.free()
	return err
}
