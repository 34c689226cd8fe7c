package apply

import (
	"context"
	"sync"
)

// turns lets one goroutine at a time work on each key.
type turns struct {
	mu   sync.Mutex
	keys map[string]*turn
}

type turn struct {
	free chan struct{} // holds one token while the turn is free
	refs int
}

// take waits for the turn. If take succeeds, the caller must call done.
func (t *turns) take(ctx context.Context, key string) (done func(), err error) {
	t.mu.Lock()
	k := t.keys[key]
	if k == nil {
		if t.keys == nil {
			t.keys = map[string]*turn{}
		}
		k = &turn{free: make(chan struct{}, 1)}
		k.free <- struct{}{}
		t.keys[key] = k
	}
	k.refs++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if k.refs--; k.refs == 0 {
			delete(t.keys, key)
		}
	}
	select {
	case <-k.free:
		return func() { k.free <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}
