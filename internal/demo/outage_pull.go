package demo

import (
	"context"
	"time"
)

// outagePull is one pull during an outage.
type outagePull struct {
	At      float64 `json:"at"` // when it ended, in seconds since the start
	Event   string  `json:"event"`
	Client  string  `json:"client"`
	Address string  `json:"address"`
	OK      bool    `json:"ok"`
	// From counts the pull's blobs by the store or upstream that sent them.
	From map[string]int `json:"from"`
	// FailedTries counts the failed tries for blobs and manifests. FailedFirstTries counts the pieces whose first try
	// failed.
	FailedTries      int    `json:"failedTries"`
	FailedFirstTries int    `json:"failedFirstTries"`
	Error            string `json:"error,omitempty"` // why the pull failed
}

// pull pulls as the next client. It also records changes of the store's health during the pull.
func (o *outage) pull(ctx context.Context, states <-chan bool) {
	c := o.clients[o.pulled%len(o.clients)]
	address := c.network(o.pulled).String()
	o.pulled++
	done := make(chan drilled, 1)
	p := patient{demo: o.demo, watched: o.store.name, retry: o.pace.retry}
	go func() { done <- p.pull(ctx, c, c.Name, address) }()
	var d drilled
	for pulling := true; pulling; {
		select {
		case d = <-done:
			pulling = false
		case usable := <-states:
			o.note(usable)
		}
	}
	if ctx.Err() != nil {
		return // interrupted: the result means nothing
	}
	d.pull.At, d.pull.Event = since(time.Since(o.start)), "pull"
	d.pull.Client, d.pull.Address = c.Name, address
	o.count(c, d)
	o.out.outagePull(d.pull)
}

// count adds a pull to the report.
func (o *outage) count(c client, d drilled) {
	o.report.Pulls++
	o.report.FailedFirstTries += d.pull.FailedFirstTries
	if !d.pull.OK {
		o.report.FailedPulls++
	}
	for _, at := range d.redirected {
		if o.failedAt.IsZero() || at.Before(o.failedAt) || !o.restoredAt.IsZero() && at.After(o.restoredAt) {
			continue
		}
		o.report.LastRedirect = seconds(at.Sub(o.failedAt))
		if !o.ejectedAt.IsZero() && at.After(o.ejectedAt) {
			o.problem("a client was sent to the store %.1f s after it was ejected", at.Sub(o.ejectedAt).Seconds())
		}
	}
	if !o.readmittedAt.IsZero() && d.asUsual && !o.returned[c.Name] {
		o.returned[c.Name] = true
		if len(o.returned) == len(o.clients) {
			o.report.Returned = seconds(time.Since(o.restoredAt))
		}
	}
}
