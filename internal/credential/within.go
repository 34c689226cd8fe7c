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

// ErrLate means that a source of credentials did not answer in time.
var ErrLate = errors.New("no credentials in time")

// Client makes the requests for credentials. Each request ends after within. Idle connections close themselves.
func Client(within time.Duration) *http.Client {
	return &http.Client{Timeout: within, Transport: outbound.Explaining(outbound.New(outbound.Options{
		Dial: 10 * time.Second, Handshake: 10 * time.Second, Header: within, Idle: 10 * time.Second, HeaderBytes: 256 << 10,
	}))}
}

// Within calls f, and gives up on it after d or when ctx ends. f then continues in the background, so it must end some
// time. what names the source that is asked, for the error. The error wraps [ErrLate] when the time was up.
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

// Tokens puts a time limit on a source of tokens, whose method Token has no context. When the source hangs, one call
// serves all waiting callers.
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
