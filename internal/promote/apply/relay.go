package apply

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/registry"
	"ociproxy/internal/targets"
	"ociproxy/internal/transfer"
)

// relay sends a blob from one repository of a host to others of the same host that would not mount it, by way of a
// local file. errs are by destination. err says that the blob could not be read.
func (r *Run) relay(ctx context.Context, h *host, b transfer.Blob, home string, to []*site) (errs []error, err error) {
	f, err := atomicfile.Scratch(targets.Dir(r.opt.Config), "relay")
	if err != nil {
		return nil, err
	}
	defer atomicfile.CloseScratch(f)
	if err := fetch(ctx, h.reg, home, b, f); err != nil {
		return nil, err
	}
	errs = make([]error, len(to))
	var g errgroup.Group
	g.SetLimit(parallelSites)
	for i, s := range to {
		g.Go(func() error {
			errs[i] = h.push(ctx, s.repo, b.Digest, b.Size, f)
			return nil
		})
	}
	_ = g.Wait() // errs has the errors
	return errs, nil
}

// fetchTries is how often a download is tried.
const fetchTries = 4

// fetch reads a blob into a file and compares its digest.
func fetch(ctx context.Context, reg *registry.Registry, repo string, b transfer.Blob, f *os.File) error {
	h := b.Digest.Hash()
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
	if !b.Digest.Matches(h) {
		return fmt.Errorf("%w: it is %s:%x", registry.ErrDigest, b.Digest.Algorithm(), h.Sum(nil))
	}
	return nil
}
