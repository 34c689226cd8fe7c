package admission

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"ociproxy/internal/check/judge"
)

// builtin is the name of the client in this program.
const builtin = "builtin"

const (
	hintPull   = "pull the image by hand from a proxy on which this store is active; oci-proxy explain says where it sends whom"
	hintImages = "name an image with --image NAME[:TAG], or fill mirror.repositories.list"
	hintOwn    = "run the client by hand: it failed before it asked for a layer, so the store is not the cause"
)

// pulls pulls the images through the private proxy with every client.
func (r *run) pulls(ctx context.Context) error {
	if len(r.images) == 0 {
		r.say(idPull+"."+builtin, "", judge.Fail(hintImages, "no image was pulled: the canonical upstream gave none with blobs"))
		return nil
	}
	p, err := r.startPrivate(ctx)
	if err != nil {
		return fmt.Errorf("start a private proxy: %w", err)
	}
	defer p.stop()
	for _, im := range r.images {
		r.pull(ctx, p, builtin, im, func(ctx context.Context) error { return r.stream(ctx, p, im) })
		r.progress()
	}
	for _, name := range r.opt.Clients {
		c := programs[name]
		if why := c.missing(ctx); why != "" {
			r.say(idPull+"."+name, "", judge.Note("not pulled with it: %s", why))
			continue
		}
		for _, im := range r.images {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			r.pull(ctx, p, name, im, func(ctx context.Context) error {
				r.meter.take(int64(2*len(im.blobs)+4), im.size) // the client's own requests
				return r.with(ctx, c, p.addr, im)
			})
			r.progress()
		}
	}
	return nil
}

// pull has a client pull an image, and judges where its blobs came from.
func (r *run) pull(ctx context.Context, p *private, client string, im image, do func(context.Context) error) {
	id := idPull + "." + client
	if im.size > r.meter.left() {
		r.say(id, im.ref.String(), judge.Fail("raise --bytes, or name a smaller image with --image",
			"not pulled: it has %s, and the run has %s left", judge.Size(im.size), judge.Size(r.meter.left())))
		return
	}
	p.turn()
	began := time.Now()
	err := do(ctx)
	took := time.Since(began)
	if ctx.Err() != nil {
		return
	}
	f := Pull{Client: client, Image: im.ref.String(), Blobs: len(im.blobs), Bytes: im.size, Seconds: took.Seconds()}
	var elsewhere, never []string
	for _, b := range im.blobs {
		switch a := p.asked(b.Digest.String()); {
		case a.elsewhere:
			elsewhere = append(elsewhere, b.Digest.String())
		case a.here:
			f.FromStore++
		default:
			never = append(never, b.Digest.String())
		}
	}
	if err == nil {
		r.rec.Figures.Pulls = append(r.rec.Figures.Pulls, f)
	}
	r.say(id, f.Image, pulled(f, err, elsewhere, never))
}

// pulled judges a pull. err is the client's error.
func pulled(f Pull, err error, elsewhere, never []string) judge.Verdict {
	switch {
	case err != nil && len(never) == f.Blobs && f.Client != builtin:
		return judge.Warn(hintOwn, "it failed: %v", err)
	case err != nil:
		return judge.Fail(hintPull, "it failed: %v", err)
	case len(elsewhere) > 0:
		return judge.Fail(judge.HintMirror, "%d of %d blobs did not come from the store, such as %s", len(elsewhere), f.Blobs, elsewhere[0])
	case len(never) > 0:
		return judge.Warn("remove the image from this client first: it has the layer", "it asked for %d of %d blobs only", f.FromStore, f.Blobs)
	}
	return judge.Good("%d blobs, %s, all from the store, in %s", f.Blobs, judge.Size(f.Bytes), time.Duration(f.Seconds*float64(time.Second)).Round(time.Millisecond))
}

// stream is the built-in client: it asks for the manifest by tag, follows the proxy's redirects, and hashes every blob.
func (r *run) stream(ctx context.Context, p *private, im image) error {
	base := "http://" + p.addr + "/v2/" + im.ref.Name
	var manifest strings.Builder
	g := r.read(ctx, r.following, base+"/manifests/"+im.ref.Reference(), map[string]string{"Accept": judge.Accept}, &manifest, judge.MaxManifest, judge.MaxManifest)
	switch {
	case g.Err != nil:
		return fmt.Errorf("manifest %s: %w", im.ref, g.Err)
	case g.Status != http.StatusOK:
		return fmt.Errorf("manifest %s: status %d", im.ref, g.Status)
	}
	if _, err := judge.ParseManifest([]byte(manifest.String())); err != nil {
		return fmt.Errorf("manifest %s: %w", im.ref, err)
	}
	for _, b := range im.blobs {
		if err := r.blob(ctx, base+"/blobs/"+b.Digest.String(), b); err != nil {
			return fmt.Errorf("blob %s: %w", b, err)
		}
		r.progress()
	}
	return nil
}

// blob reads a blob: first the redirect, then what it leads to.
func (r *run) blob(ctx context.Context, at string, b judge.Blob) error {
	first := r.read(ctx, r.client, at, nil, io.Discard, 0, page)
	if first.Err != nil {
		return first.Err
	}
	if first.Location == nil {
		return fmt.Errorf("the proxy answers %d, not with a redirect", first.Status)
	}
	h := b.Digest.Hash()
	g := r.read(ctx, r.following, first.Location.String(), map[string]string{"Accept-Encoding": "gzip"}, h, b.Size, b.Size+1)
	if v := judge.Received(g.Answer, b, g.n, sum(b.Digest, h)); v.Result == judge.Failed {
		return errors.New(v.Detail)
	}
	return nil
}
