package existence

import (
	"net/netip"
	"time"
)

// keepEvery is how long an origin may go without a request: servers close connections that are idle for longer than
// about 15 seconds, and a new connection costs a client three round trips.
const keepEvery = 15 * time.Second

// Keep keeps a connection to an origin warm, so that its speed is known before a client waits for it, and renews the
// proofs that its answers mean something. Call it about every second for each origin that matters, with something to
// ask for (it need not exist). It calls allow before it makes a request. It never waits.
func (c *Checker) Keep(t Target, allow func() bool) {
	c.mu.Lock()
	o := c.origin(t.Key.Origin)
	now := time.Now()
	for i := range o.proofs {
		p, at := &o.proofs[i], o.proofs[i].yes
		if at.URL == "" && t.Key.Name == "" && subjectOf(t.Key.Kind) == subject(i) {
			at = t // a store's no counts even if it never said yes
		}
		if at.URL != "" && p.running == nil && !now.Before(p.next) && allow() {
			c.try(o, p, at, true)
		}
	}
	if now.Sub(o.used) < keepEvery || !allow() {
		c.mu.Unlock()
		return
	}
	for i := range o.proofs {
		if known := o.proofs[i].yes; known.URL != "" {
			c.mu.Unlock()
			c.start(netip.Prefix{}, known, toKeep) // a yes does not appear as an error in the store's own statistics
			return
		}
	}
	if p := &o.proofs[subjectOf(t.Key.Kind)]; p.running == nil {
		c.try(o, p, t, t.Key.Name == "")
	}
	c.mu.Unlock()
}

// Renew makes every proof due again soon. Call it after loading a configuration.
func (c *Checker) Renew() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.origins {
		for i := range o.proofs {
			o.proofs[i].next, o.proofs[i].tried = time.Time{}, time.Time{}
		}
	}
}
