package demo

import (
	"context"
	"slices"
	"time"

	"ociproxy/internal/wait"
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
	address := o.address(c).String()
	done := make(chan drilled, 1)
	go func() { done <- o.drill(ctx, c, address) }()
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

// drilled is the result of a pull.
type drilled struct {
	pull       outagePull
	redirected []time.Time // when the client asked the proxy and was redirected to the store
	asUsual    bool        // each blob came at the first try from where the scenario says
}

// drill pulls the image of c as a container runtime does: piece by piece, with retries for each piece.
func (o *outage) drill(ctx context.Context, c client, address string) (d drilled) {
	d = drilled{pull: outagePull{OK: true, From: map[string]int{}}, asUsual: true}
	puller := newPuller(o.demo.transport, o.demo.url(o.demo.public), c.Name, address)
	want := o.demo.world.image.platforms[c.Platform]
	get := func(name, path, digest string) {
		if !d.pull.OK || ctx.Err() != nil {
			return
		}
		from, failed := o.piece(ctx, puller, path, digest, &d)
		if failed > 0 {
			d.pull.FailedTries += failed
			d.pull.FailedFirstTries++
		}
		if from == "" {
			d.pull.OK, d.asUsual = false, false
			return
		}
		if path != blobPath(digest) {
			return
		}
		d.pull.From[from]++
		d.asUsual = d.asUsual && failed == 0 && from == c.from(name)
	}
	get("index", manifestPath(imageTag), o.demo.world.image.index)
	get("manifest", manifestPath(want.manifest), want.manifest)
	for _, name := range slices.Concat([]string{"config"}, layerNames()) {
		get(name, blobPath(want.blobs[name]), want.blobs[name])
	}
	return d
}

// piece gets one piece, with up to three tries. It returns the sender, or "" if all tries failed, and how many tries
// failed.
func (o *outage) piece(ctx context.Context, p *puller, path, digest string, d *drilled) (from string, failed int) {
	for ; failed < tries; failed++ {
		if failed > 0 && wait.For(ctx, o.pace.retry) != nil {
			return "", failed
		}
		began := time.Now()
		got, err := p.fetch(ctx, path, accepts(descriptor{Digest: digest}, path))
		node := "the proxy"
		if got.location != nil {
			node = got.location.Host
			if n, ok := o.demo.world.at(got.location.Host); ok {
				node = n.name
			}
		}
		if node == o.store.name {
			d.redirected = append(d.redirected, began)
		}
		switch {
		case err != nil:
			d.pull.Error = node + ": " + err.Error()
		case digestOf(got.data) != digest:
			d.pull.Error = node + ": other bytes than asked for"
		default:
			d.pull.Error = ""
			return node, failed
		}
	}
	return "", failed
}

func layerNames() (names []string) {
	for _, spec := range layerSpecs {
		names = append(names, spec.name)
	}
	return names
}
