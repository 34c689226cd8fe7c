package transfer

import (
	"context"
	"slices"
	"time"

	"ociproxy/internal/set"
)

// pool is a limited resource: places, bytes. It serves claims in their order, so that small ones do not overtake a
// large one forever. It is under the engine's lock.
type pool struct {
	cap     int64 // the configured limit
	limit   int64 // the current limit; lower after the disk was full
	used    int64
	waiting []*claim
	granted time.Time // when the last claim was served, or when the first one began to wait

	making bool      // makeRoom is running
	looked time.Time // when the lag of the targets was last measured
}

// claim waits for its part of a pool.
type claim struct {
	n     int64
	need  set.Set       // the targets that need the claim
	ready chan struct{} // closed when it was granted
}

func (p *pool) setCap(n int64) { p.cap, p.limit = n, n }

// grant serves the waiting claims.
func (p *pool) grant() {
	for len(p.waiting) > 0 {
		c := p.waiting[0]
		if p.used+c.n > p.limit {
			return
		}
		p.used += c.n
		p.waiting, p.granted = p.waiting[1:], time.Now()
		close(c.ready)
	}
}

// fits reports whether n can be had at once.
func (p *pool) fits(n int64) bool { return len(p.waiting) == 0 && p.used+n <= p.limit }

// short returns how much the first waiting claim still needs.
func (p *pool) short() int64 {
	if len(p.waiting) == 0 {
		return 0
	}
	return p.used + p.waiting[0].n - p.limit
}

// acquire takes n of a pool for the targets of need. The error is the cause of the end of ctx or of the engine.
func (e *Engine) acquire(ctx context.Context, p *pool, n int64, need set.Set) error {
	e.mu.Lock()
	c := &claim{n: n, need: need, ready: make(chan struct{})}
	if len(p.waiting) == 0 {
		p.granted = time.Now()
	}
	p.waiting = append(p.waiting, c)
	p.grant()
	e.makeRoom(p)
	e.unlock()
	var err error
	select {
	case <-c.ready:
		return nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-e.ctx.Done():
		err = context.Cause(e.ctx)
	}
	e.mu.Lock()
	defer e.unlock()
	if i := slices.Index(p.waiting, c); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	} else {
		p.used -= n // granted meanwhile
	}
	p.grant()
	return err
}

// release returns one place to a pool.
func (e *Engine) release(p *pool) {
	e.mu.Lock()
	defer e.unlock()
	p.put(1)
}

func (p *pool) put(n int64) {
	p.used -= n
	p.grant()
}
