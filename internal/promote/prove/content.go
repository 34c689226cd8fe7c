package prove

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	digest "github.com/opencontainers/go-digest"

	"ociproxy/internal/oci"
	"ociproxy/internal/promote/sign"
	"ociproxy/internal/registry"
	"ociproxy/internal/set"
	"ociproxy/internal/walk"
)

// content reads an image as deep as requested, and compares it with the stores.
func (v *view) content(ctx context.Context, w *wanted, f Finding) {
	var incomplete set.Set
	if v.opt.Stores != nil && w.digest.InStores() {
		incomplete = v.opt.Stores.Incomplete(w.digest)
	}
	if v.opt.Read == Lists && incomplete.Empty() {
		return
	}
	c, err := v.regs.Parts(ctx, v.full, w.digest)
	if err != nil {
		v.broken(ctx, f, err)
		return
	}
	v.mu.Lock()
	for _, m := range c.Manifests {
		v.known[m.Digest] = true
	}
	v.mu.Unlock()
	about := f
	about.Repository = w.project.Destinations[0].Repository(w.image.Name) // always the same name
	v.stored(c, about)
	if v.opt.Read == Blobs {
		for _, b := range c.Blobs {
			v.blob(ctx, b, f)
		}
	}
}

// broken records why an image cannot be read to its end.
func (v *view) broken(ctx context.Context, f Finding, err error) {
	switch {
	case errors.Is(err, registry.ErrDigest), errors.Is(err, registry.ErrInvalid),
		errors.Is(err, registry.ErrTooLarge), errors.Is(err, walk.ErrNested):
		f.Class, f.Detail = Altered, err.Error()
	case errors.Is(err, registry.ErrNotFound):
		f.Class, f.Detail = Missing, "a part of the image is not there: "+err.Error()
	default:
		v.unknown(ctx, f, "", err)
		return
	}
	if ctx.Err() == nil {
		v.find(f)
	}
}

// stored finds the stores that do not have all blobs of an image.
func (v *view) stored(c *walk.Parts, f Finding) {
	if v.opt.Stores == nil || !v.read.first("", f.Digest) {
		return // an image is the same in every repository
	}
	lacks := make([][]string, len(v.r.Stores))
	for _, b := range c.Blobs {
		if b.Digest.InStores() {
			lacking := v.opt.Stores.Lacking(b.Digest)
			lacking.Each(func(i int) { lacks[i] = append(lacks[i], b.Digest.String()) })
		}
	}
	for i, blobs := range lacks {
		if len(blobs) > 0 {
			f.Class, f.Store = Unstored, v.r.Stores[i]
			f.Detail = fmt.Sprintf("the inventory of %s does not list %d of %d blobs, first %s", f.Store, len(blobs), len(c.Blobs), blobs[0])
			v.find(f)
		}
	}
}

// blobsRead remembers which digests were read at which host.
type blobsRead struct {
	mu   sync.Mutex
	seen map[string]map[oci.Digest]bool // by host; "": images compared with the stores
}

// first reports whether a digest occurs for the first time.
func (b *blobsRead) first(host string, d oci.Digest) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen == nil {
		b.seen = map[string]map[oci.Digest]bool{}
	}
	if b.seen[host] == nil {
		b.seen[host] = map[oci.Digest]bool{}
	}
	was := b.seen[host][d]
	b.seen[host][d] = true
	return !was
}

// blob reads a blob. If the blob was read from the same host before, it only asks whether this repository has it too.
func (v *view) blob(ctx context.Context, b walk.Blob, f Finding) {
	reg, name, err := v.regs.At(v.full)
	if err != nil {
		v.unknown(ctx, f, "", err)
		return
	}
	host, _, _ := strings.Cut(v.full, "/")
	if v.read.first(host, b.Digest) {
		err = v.hash(ctx, reg, name, b)
	} else {
		_, err = reg.StatBlob(ctx, name, b.Digest)
	}
	if err != nil {
		v.broken(ctx, f, fmt.Errorf("blob %s: %w", b.Digest, err))
	}
}

// hash reads a blob from beginning to end. It does not resume: after an interruption, the next look reads the blob.
func (v *view) hash(ctx context.Context, reg *registry.Registry, name string, b walk.Blob) error {
	body, _, err := reg.OpenBlob(ctx, name, b.Digest, 0)
	if err != nil {
		return err
	}
	defer body.Close()
	want := digest.Digest(b.Digest.String())
	if !want.Algorithm().Available() {
		return fmt.Errorf("no way to compute %s", want.Algorithm())
	}
	sum := want.Verifier()
	n, err := io.Copy(sum, body)
	v.change(func(r *Report) {
		r.BlobsRead++
		r.BytesRead += n
	})
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if !sum.Verified() || b.Size >= 0 && n != b.Size {
		return fmt.Errorf("%w: %d bytes were read", registry.ErrDigest, n)
	}
	return nil
}

// signed looks for a signature in the canonical destination.
func (v *view) signed(ctx context.Context, w *wanted, f Finding) {
	if len(v.opt.Keys) == 0 || !w.canonical {
		return
	}
	reg, name, err := v.regs.At(v.full)
	if err == nil {
		err = sign.Verify(ctx, reg, name, w.digest, v.opt.Keys, v.opt.Identity)
	}
	if bad, ok := errors.AsType[*sign.Untrusted](err); ok {
		f.Class, f.Detail = Unsigned, fmt.Sprintf("%v: found %s", sign.ErrUntrusted, bad.Found)
		v.find(f)
	} else if err != nil {
		v.unknown(ctx, f, "", err)
	}
}
