package demo

import (
	"context"
	"slices"
	"time"

	"ociproxy/internal/wait"
)

// tries is how often a client asks for a piece before its pull fails. A kubelet tries three times, more slowly.
const tries = 3

// drilled is the result of a pull.
type drilled struct {
	pull       outagePull
	redirected []time.Time // when the client asked the proxy and was redirected to the store
	asUsual    bool        // each blob came at the first try from where the scenario says
}

// patient is a client that tries again, as container runtimes do.
type patient struct {
	demo    *demo
	watched string        // the store whose redirects it records; "": none
	retry   time.Duration // how long it waits before it tries a piece again
}

// pull pulls the image of c from address, piece by piece, with retries for each piece. name is for the User-Agent.
func (p patient) pull(ctx context.Context, c client, name, address string) (d drilled) {
	d = drilled{pull: outagePull{OK: true, From: map[string]int{}}, asUsual: true}
	puller := newPuller(p.demo.transport, p.demo.url(p.demo.public), name, address)
	want := p.demo.world.image.platforms[c.Platform]
	get := func(name, path, digest string) {
		if !d.pull.OK || ctx.Err() != nil {
			return
		}
		from, failed := p.piece(ctx, puller, path, digest, &d)
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
	get("index", manifestPath(imageTag), p.demo.world.image.index)
	get("manifest", manifestPath(want.manifest), want.manifest)
	for _, name := range slices.Concat([]string{"config"}, layerNames()) {
		get(name, blobPath(want.blobs[name]), want.blobs[name])
	}
	return d
}

// piece gets one piece, with up to three tries. It returns the sender, or "" if all tries failed, and how many tries
// failed.
func (p patient) piece(ctx context.Context, puller *puller, path, digest string, d *drilled) (from string, failed int) {
	for ; failed < tries; failed++ {
		if failed > 0 && wait.For(ctx, p.retry) != nil {
			return "", failed
		}
		began := time.Now()
		got, err := puller.fetch(ctx, path, accepts(descriptor{Digest: digest}, path))
		node := "the proxy"
		if got.location != nil {
			node = got.location.Host
			if n, ok := p.demo.world.at(got.location.Host); ok {
				node = n.name
			}
		}
		if node == p.watched {
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
