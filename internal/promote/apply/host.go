package apply

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
	"ociproxy/internal/store"
	"ociproxy/internal/transfer"
)

// host is one registry that is promoted to. It is a bucket for the engine that fills stores, so that a blob which stores and
// registries lack is read once for all of them. The engine knows a blob by its digest only: which repository it goes to is said
// beforehand ([host.want]), for one blob one repository at a time.
type host struct {
	name string
	reg  *registry.Registry
	log  *journal
	may  func(context.Context) error // nil while writing is permitted
	errs health

	mu    sync.Mutex
	wants map[oci.Digest]string // repositories, without the host

	pushed, mounted, tags, manifests atomic.Int64
	bytes                            atomic.Int64
}

var _ store.Bucket = (*host)(nil)

// want says where the bytes of a digest go.
func (h *host) want(d oci.Digest, repo string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.wants[d] = repo; repo == "" {
		delete(h.wants, d)
	}
}

// wanted finds out what a key of the engine means here.
func (h *host) wanted(key string) (d oci.Digest, repo string, err error) {
	d, err = oci.ParseDigest(strings.TrimPrefix(key, store.BlobPrefix))
	if err != nil {
		return d, "", err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if repo = h.wants[d]; repo == "" {
		return d, "", fmt.Errorf("blob %s: no repository of %s wants it", d, h.name)
	}
	return d, repo, nil
}

// String implements [store.Bucket].
func (h *host) String() string { return h.name }

// Check implements [store.Bucket]: nothing is asked.
func (h *host) Check(context.Context, string) error { return nil }

// Head implements [store.Bucket].
func (h *host) Head(ctx context.Context, key string) (store.Attrs, error) {
	d, repo, err := h.wanted(key)
	if err != nil {
		return store.Attrs{}, err
	}
	size, err := h.reg.StatBlob(ctx, repo, d)
	if h.errs.note(err); errors.Is(err, registry.ErrNotFound) {
		return store.Attrs{}, fmt.Errorf("%w: %w", store.ErrNotFound, err)
	}
	return attrs(key, d, size), err
}

// attrs describe a blob that the registry says it has: it has compared the digest itself.
func attrs(key string, d oci.Digest, size int64) store.Attrs {
	a := store.Attrs{Key: key, Size: size, Version: d.String()}
	if d.Algorithm() == "sha256" {
		a.SHA256 = d.Hex()
	}
	return a
}

// Get implements [store.Bucket], to the end of a blob.
func (h *host) Get(ctx context.Context, key string, off, _ int64) (io.ReadCloser, store.Attrs, error) {
	d, repo, err := h.wanted(key)
	if err != nil {
		return nil, store.Attrs{}, err
	}
	body, size, err := h.reg.OpenBlob(ctx, repo, d, off)
	return body, attrs(key, d, size), err
}

// Put implements [store.Bucket]. It begins when all bytes are there: while it sends it holds one of the host's few streams, which the
// download of the same blob may need as well.
func (h *host) Put(ctx context.Context, key string, c store.Content, _ store.Header, _ string) (store.Attrs, error) {
	d, repo, err := h.wanted(key)
	if err != nil {
		return store.Attrs{}, err
	}
	if err := c.Verified(ctx); err != nil {
		return store.Attrs{}, err
	}
	if err := h.push(ctx, repo, d, c.Size(), c); err != nil {
		return store.Attrs{}, err
	}
	return attrs(key, d, c.Size()), nil
}

// push sends a blob.
func (h *host) push(ctx context.Context, repo string, d oci.Digest, size int64, r io.ReaderAt) error {
	if err := h.may(ctx); err != nil {
		return err
	}
	err := h.reg.PushBlob(ctx, repo, d, size, r)
	h.errs.note(err)
	h.log.add(Entry{Action: Blob, Repository: h.full(repo), Digest: d}, err)
	if err == nil {
		h.pushed.Add(1)
		h.bytes.Add(size)
	}
	return err
}

// mount makes a blob appear in repo that from has. It is false when the host would not; then the bytes must be sent.
func (h *host) mount(ctx context.Context, repo string, d oci.Digest, from string) (bool, error) {
	if err := h.may(ctx); err != nil {
		return false, err
	}
	ok, err := h.reg.Mount(ctx, repo, d, from)
	h.errs.note(err)
	if ok || err != nil {
		h.log.add(Entry{Action: Mount, Repository: h.full(repo), Digest: d, From: h.full(from)}, err)
	}
	if ok {
		h.mounted.Add(1)
	}
	return ok, err
}

func (h *host) full(repo string) string { return h.name + "/" + repo }

// List implements [store.Bucket]: a registry lists no blobs.
func (h *host) List(context.Context, string, string) iter.Seq2[store.Attrs, error] {
	return func(yield func(store.Attrs, error) bool) { yield(store.Attrs{}, errors.ErrUnsupported) }
}

// Delete implements [store.Bucket]: nothing is ever deleted from a destination.
func (h *host) Delete(context.Context, string, string) error { return errors.ErrUnsupported }

// target is the host as the engine sees it.
func (h *host) target() transfer.Target { return transfer.Target{Name: h.name, Bucket: h} }

// maxFailures in a row, all without an answer, mean that a host is down.
const maxFailures = 5

// health is whether a host answers.
type health struct {
	mu   sync.Mutex
	row  int
	down error
}

// ErrDown: the host was left alone for the rest of the run.
var ErrDown = errors.New("the registry does not answer, and is left alone for the rest of this run")

// note takes what came of a request.
func (h *health) note(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if errors.Is(err, context.Canceled) {
		return
	}
	if err == nil || !silent(err) {
		h.row = 0
		return
	}
	if h.row++; h.row >= maxFailures && h.down == nil {
		h.down = fmt.Errorf("%w: %w", ErrDown, err)
	}
}

// err is why the host is left alone; nil while it is not.
func (h *health) err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.down
}

// silent says whether an error means that nobody answered who could.
func silent(err error) bool {
	if refusal, ok := errors.AsType[*registry.StatusError](err); ok {
		return refusal.Code >= 500
	}
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, registry.ErrStalled) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
}
