package credential

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"ociproxy/internal/outbound"
)

// ErrLate: whoever was asked for credentials did not answer in time.
var ErrLate = errors.New("no credentials in time")

// Client makes the requests for credentials: each ends after within. Its idle connections end by themselves.
func Client(within time.Duration) *http.Client {
	return &http.Client{Timeout: within, Transport: outbound.Explaining(outbound.New(outbound.Options{
		Dial: 10 * time.Second, Handshake: 10 * time.Second, Header: within, Idle: 10 * time.Second, HeaderBytes: 256 << 10,
	}))}
}

// Within calls f, and gives it up after d, or when ctx ends: f then goes on by itself, so it must end some time. what says who is
// asked, in the error, which wraps [ErrLate] when it was given up for its time.
func Within[T any](ctx context.Context, d time.Duration, what string, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	late := time.NewTimer(d)
	defer late.Stop()
	var none T
	select {
	case r := <-done:
		return r.value, r.err
	case <-late.C:
		return none, fmt.Errorf("%s: %w: nothing within %v", what, ErrLate, d)
	case <-ctx.Done():
		return none, fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
}

// Tokens bounds a source of tokens, whose Token has no context to end it by. One that hangs is asked once for all who wait.
func Tokens(source oauth2.TokenSource, d time.Duration, what string) oauth2.TokenSource {
	return &tokens{source: source, within: d, what: what}
}

type tokens struct {
	source oauth2.TokenSource
	within time.Duration
	what   string
	asked  singleflight.Group
}

// Token implements [oauth2.TokenSource].
func (t *tokens) Token() (*oauth2.Token, error) {
	return Within(context.Background(), t.within, t.what, func() (*oauth2.Token, error) {
		token, err, _ := t.asked.Do("", func() (any, error) { return t.source.Token() })
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.what, err)
		}
		return token.(*oauth2.Token), nil
	})
}
