package existence

import (
	"context"
	"net/netip"
	"strings"
	"time"
)

// flight is one running check, for all requests that ask for the same thing.
type flight struct {
	target Target
	origin *origin
	began  time.Time
	done   chan struct{} // closed when answer is set and in the cache
	answer Answer
	why    purpose
	// late says that its time is over without an answer, so that no request waits for it any more. The checker's lock
	// guards it.
	late bool
	// refuted says that a yes was found to be wrong meanwhile. The checker's lock guards it.
	refuted bool
}

// purpose is what a check is for.
type purpose uint8

const (
	// toKnow accepts a remembered answer.
	toKnow purpose = iota
	// toKnowAgain does not accept a remembered answer.
	toKnowAgain
	// toKeep is for checks that no request needs now. So a failure does not remove an answer that is still valid.
	toKeep
)

// start begins a check, or joins the one under way for the same URL; nil when a bound is reached or the answer is
// known.
func (c *Checker) start(client netip.Prefix, t Target, why purpose) *flight {
	c.mu.Lock()
	if f := c.flights[t.URL]; f != nil {
		c.mu.Unlock()
		return f
	}
	if why == toKnow {
		if _, known := c.Lookup(t.Key); known { // a flight has just ended
			c.mu.Unlock()
			return nil
		}
	}
	o := c.origin(t.Key.Origin)
	if !c.acquire(client, o) {
		c.mu.Unlock()
		c.observe(&t, ResultShed, Answer{Size: -1}, 0)
		return nil // the answer stays unknown
	}
	// The request's strings are parts of a larger buffer: keep copies.
	t.Key.Name, t.Key.Ref = strings.Clone(t.Key.Name), strings.Clone(t.Key.Ref)
	f := &flight{target: t, origin: o, began: time.Now(), done: make(chan struct{}), why: why}
	c.flights[t.URL] = f
	doubt := c.doubt(o, &f.target)
	c.mu.Unlock()
	go c.fly(f, client, doubt)
	return f
}

// fly makes the check of f and remembers its answer. doubt, when given, is the attempt to prove its origin that was
// under way when the check began.
func (c *Checker) fly(f *flight, client netip.Prefix, doubt *attempt) {
	t := &f.target
	a, redirects, result := c.ask(f.origin, t)
	took := time.Since(f.began)
	if redirects {
		c.prove(f, doubt)
	}
	c.mu.Lock()
	if f.refuted {
		a, result = Answer{Size: -1}, ResultAbsent
	}
	if a.Held && !t.Trusted && !f.origin.proofs[subjectOf(t.Key.Kind)].believes(t, redirects) {
		a, result = Answer{Failed: true, Size: -1}, ResultDisbelieved
	}
	f.answer = a
	was, _ := c.Lookup(t.Key)
	lost := was.Held && !a.Held && !a.Failed
	if f.why != toKeep || !a.Failed {
		c.cache.Set(t.Key, a)
	}
	if f.late && !a.Failed {
		f.origin.pace.missed(time.Since(f.began), time.Now())
	}
	delete(c.flights, t.URL)
	c.release(client, f.origin)
	c.mu.Unlock()
	if lost {
		c.lost(t.Key)
	}
	if f.why != toKeep || result != ResultHeld { // a confirmed answer is no news
		c.observe(t, result, a, took)
	}
	close(f.done)
}

func (c *Checker) observe(t *Target, result string, a Answer, took time.Duration) {
	if !t.Unobserved {
		c.opt.Observe(*t, result, a, took)
	}
}

// wait returns true when f has its answer, and false when its time is over or ctx is done. For all waiting requests,
// the time counts from f's beginning. No request waits for a check whose time is already over.
func (c *Checker) wait(ctx context.Context, f *flight) bool {
	var timer *time.Timer
	for {
		select {
		case <-f.done:
			return true
		default:
		}
		left := c.left(f)
		if left <= 0 {
			return false
		}
		// What is known about the origin may have changed when the time is over.
		if timer == nil {
			timer = time.NewTimer(left)
			defer timer.Stop()
		} else {
			timer.Reset(left)
		}
		select {
		case <-f.done:
			return true
		case <-ctx.Done():
			return false
		case <-timer.C:
		}
	}
}

// left returns how long requests may still wait for f.
func (c *Checker) left(f *flight) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.late {
		return 0
	}
	now := time.Now()
	left := f.origin.pace.budget(c.opt.Budget, now) - now.Sub(f.began)
	if left <= 0 {
		f.late = true
		f.origin.pace.gaveUp(now)
	}
	return left
}
