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

// How often a request is repeated, when it can be. A throttled host is given more patience than a broken one.
const (
	maxFailed    = 4
	maxThrottled = 8
)

// meter is the transport below everything else: below authentication, so that each request for a token is counted, limited
// and repeated like the others.
type meter struct {
	base     http.RoundTripper
	registry *Registry
	counts   bool // against the budget's rate; what other hosts serve is bounded in number and time only
}

type streamKey struct{}

// streaming marks requests whose answer is a blob: it may take long, and holds a place among the blobs, not the requests.
func streaming(ctx context.Context) context.Context { return context.WithValue(ctx, streamKey{}, true) }

// RoundTrip implements [http.RoundTripper]. The answer's body must be closed. When the time of req's context is up between two tries,
// the error is the last one's.
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
		// The library asks for https first where the registry is on this machine, and may fall back to http.
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
			// A host that says "at once" each time is given time nevertheless.
			pause = max(jittered(asked), verdicts.Pause(backoff(time.Second, throttled, time.Minute)))
		case !told && !last && passing(resp, err) && failed < maxFailed:
			failed++
			pause = verdicts.Pause(backoff(250*time.Millisecond, failed, 10*time.Second))
		default:
			if err == nil && !told && m.counts {
				b.ease()
			}
			if err == nil && last { // a host that has never answered well: what it says is all that is known of it
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
			pause = 0 // the next round waits
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

// once makes one request when the budget allows it.
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

// after reads whether the host wants to be left alone, and for how long; negative when it does not say.
func after(resp *http.Response) (d time.Duration, told bool) {
	if resp == nil || resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return 0, false
	}
	d, ok := outbound.RetryAfter(resp.Header, time.Now())
	if !ok {
		// A 503 without a time may be a backend that is broken: no reason for everybody to wait.
		return -1, resp.StatusCode == http.StatusTooManyRequests
	}
	return d, true
}

// jittered adds to a time that everybody was told, so that they do not all come at once. A negative one is none.
func jittered(d time.Duration) time.Duration {
	if d < 0 {
		return 0
	}
	return d + rand.N(time.Second/4+d/16)
}

// passing reports whether a failure may be gone next time.
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

// tried is why a try is made again, or would be; nil when there is no reason.
func tried(resp *http.Response, err error) error {
	if asked, told := after(resp); err == nil && (told || passing(resp, nil)) {
		return &StatusError{Code: resp.StatusCode, Asked: max(asked, 0)}
	}
	return err
}

// rewindable reports whether a request can be sent again. What registries are asked for may be asked twice: an upload begun
// twice is one that is never finished, and those they clean up.
func rewindable(req *http.Request) bool {
	return req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
}

// backoff doubles from first to most, with jitter: half of it is random.
func backoff(first time.Duration, attempt int, most time.Duration) time.Duration {
	return wait.Jitter(wait.Doubled(first, attempt-1, most))
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

// discard reads the rest of a short answer, so that its connection is used again, and closes it.
func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBody) // an error here says no more than that it cannot be used again
	resp.Body.Close()
}

// sending is the body of a request: as long as the host takes it at the minimum pace, it need not answer.
type sending struct {
	io.ReadCloser
	watch *pace.Watch
}

func (s *sending) Read(p []byte) (int, error) { return s.watch.Send(s.ReadCloser, p) }

// body is the body of an answer. Time counts while somebody waits for bytes, not while they are worked on.
type body struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	watch  *pace.Watch
	free   func()
}

// expire ends reading, from any goroutine.
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
