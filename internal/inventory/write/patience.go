package write

import (
	"context"
	"time"
)

type patienceKey struct{}

// WithPatience makes [Gather] wait for each head at most d; the default is 30 s.
func WithPatience(ctx context.Context, d time.Duration) context.Context {
	return context.WithValue(ctx, patienceKey{}, d)
}

// patience returns how long Gather waits for a head.
func patience(ctx context.Context) time.Duration {
	if d, ok := ctx.Value(patienceKey{}).(time.Duration); ok && d > 0 {
		return min(headPatience, d)
	}
	return headPatience
}
