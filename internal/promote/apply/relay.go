package apply

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/fleet"
	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
	"ociproxy/internal/transfer"
)

// relay sends a blob from one repository of a host into others of the same host that would not mount it. It lies in a file on its way. The
// source is not read again.
func (r *Run) relay(ctx context.Context, h *host, b transfer.Blob, home string, to []*site) map[*site]error {
	out := make(map[*site]error, len(to))
	fail := func(err error) map[*site]error {
		for _, s := range to {
			out[s] = err
		}
		return out
	}
	f, err := os.CreateTemp(fleet.Dir(r.opt.Config), "relay-*")
	if err != nil {
		return fail(fmt.Errorf("relay blob %s: %w", b.Digest, err))
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := fetch(ctx, h.reg, home, b, f); err != nil {
		return fail(fmt.Errorf("read back blob %s from %s: %w", b.Digest, h.full(home), err))
	}
	errs := make([]error, len(to))
	var g errgroup.Group
	g.SetLimit(parallelSites)
	for i, s := range to {
		g.Go(func() error {
			if errs[i] = h.push(ctx, s.repo, b.Digest, b.Size, f); errs[i] == nil {
				h.relayed.Add(1)
			}
			return nil
		})
	}
	_ = g.Wait() // kept one by one
	for i, s := range to {
		out[s] = errs[i]
	}
	return out
}

// fetchTries is how often a download may break off.
const fetchTries = 4

// fetch reads a blob into a file and compares its digest.
func fetch(ctx context.Context, reg *registry.Registry, repo string, b transfer.Blob, f *os.File) error {
	h := newHash(b.Digest)
	var off int64
	for try := 1; off < b.Size || try == 1; try++ {
		body, _, err := reg.OpenBlob(ctx, repo, b.Digest, off)
		if err == nil {
			var n int64
			n, err = io.Copy(io.MultiWriter(f, h), io.LimitReader(body, b.Size-off))
			off += n
			body.Close()
		}
		if off == b.Size && err == nil {
			break
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if try == fetchTries {
			if err == nil {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != b.Digest.Hex() {
		return fmt.Errorf("%w: it is %s:%s", registry.ErrDigest, b.Digest.Algorithm(), got)
	}
	return nil
}

func newHash(d oci.Digest) hash.Hash {
	if d.Algorithm() == "sha512" {
		return sha512.New()
	}
	return sha256.New()
}
