package existence

import (
	"net/netip"
	"time"
)

// keepEvery is how long an origin may be asked nothing: servers close connections that are idle for
// longer than a quarter of a minute or so, and a new one costs a client three round trips.
const keepEvery = 15 * time.Second

// Keep is called every second or so with something that could be asked of each origin that matters
// (it need not exist). It keeps a connection there warm, so that how fast the origin answers is
// known before a client waits for it, and renews the proofs that its answers mean something. allow
// is asked before a request is made. It never waits.
func (c *Checker) Keep(t Target, allow func() bool) {
	c.mu.Lock()
	o := c.origin(t.Key.Origin)
	now := time.Now()
	for i := range o.proofs {
		p, at := &o.proofs[i], o.proofs[i].yes
		if at.URL == "" && t.Key.Name == "" && subjectOf(t.Key.Kind) == subject(i) {
			at = t // a store's no counts though it never said yes
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
			c.start(netip.Prefix{}, known, toKeep) // a yes is no error in the store's own statistics
			return
		}
	}
	if p := &o.proofs[subjectOf(t.Key.Kind)]; p.running == nil {
		c.try(o, p, t, t.Key.Name == "")
	}
	c.mu.Unlock()
}

// Renew has every proof made again soon: a configuration was loaded.
func (c *Checker) Renew() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.origins {
		for i := range o.proofs {
			o.proofs[i].next, o.proofs[i].tried = time.Time{}, time.Time{}
		}
	}
}
