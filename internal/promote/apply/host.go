package apply

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
	"ociproxy/internal/store"
	"ociproxy/internal/transfer"
)

// host is one registry to which images are promoted. It is a sink of the engine that fills stores, so that a blob that
// is missing in stores and registries is read once for all of them. For one blob, the engine serves one repository of
// the host at a time.
type host struct {
	name    string
	reg     *registry.Registry
	log     *journal
	may     func(context.Context) error // returns nil while writing is permitted
	answers availability

	pushed, mounted, tags, manifests atomic.Int64
	bytes                            atomic.Int64
}

// Look implements [transfer.Sink]. The registry has compared the digest itself.
func (h *host) Look(ctx context.Context, it transfer.Item) (transfer.Found, error) {
	size, err := h.reg.StatBlob(ctx, it.Into, it.Digest)
	h.answers.note(err)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return transfer.Found{}, nil
	case err != nil:
		return transfer.Found{}, ofRepository(err)
	case size != it.Size:
		return transfer.Found{Wrong: it.Digest.String()}, nil
	}
	return transfer.Found{How: transfer.AlreadyThere}, nil
}

// Put implements [transfer.Sink]. It begins when all bytes are there. While it sends, it holds one of the host's few
// streams, which the download of the same blob may need as well.
func (h *host) Put(ctx context.Context, it transfer.Item, c store.Content) (transfer.Found, error) {
	if err := c.Verified(ctx); err != nil {
		return transfer.Found{}, err
	}
	if err := h.push(ctx, it.Into, it.Digest, it.Size, c); err != nil {
		return transfer.Found{}, ofRepository(err)
	}
	return transfer.Found{How: transfer.Uploaded}, nil
}

// ofRepository marks a refusal of the registry that would still hold a second later as the repository's own. Other
// repositories may accept a client that may not write to this one, or does not find it.
func ofRepository(err error) error {
	refusal, ok := errors.AsType[*registry.StatusError](err)
	if !ok || refusal.Code/100 != 4 || refusal.Code == http.StatusTooManyRequests || refusal.Code == http.StatusRequestTimeout {
		return err
	}
	if refusal.Is(registry.ErrNotFound) {
		err = fmt.Errorf("%w (create the repository: not every registry does at the first push)", err)
	}
	return &transfer.PlaceError{Err: err}
}

// push sends a blob.
func (h *host) push(ctx context.Context, repo string, d oci.Digest, size int64, r io.ReaderAt) error {
	if err := h.may(ctx); err != nil {
		return err
	}
	err := h.reg.PushBlob(ctx, repo, d, size, r)
	h.answers.note(err)
	h.log.add(Entry{Action: Blob, Repository: h.full(repo), Digest: d}, err)
	if err == nil {
		h.pushed.Add(1)
		h.bytes.Add(size)
	}
	return err
}

// mount makes a blob of from appear in repo. It returns false if the host refuses; then the bytes must be sent.
func (h *host) mount(ctx context.Context, repo string, d oci.Digest, from string) (bool, error) {
	if err := h.may(ctx); err != nil {
		return false, err
	}
	ok, err := h.reg.Mount(ctx, repo, d, from)
	h.answers.note(err)
	if ok || err != nil {
		h.log.add(Entry{Action: Mount, Repository: h.full(repo), Digest: d, From: h.full(from)}, err)
	}
	if ok {
		h.mounted.Add(1)
	}
	return ok, err
}

func (h *host) full(repo string) string { return h.name + "/" + repo }

// maxFailures is how many failures in a row, all without an answer, mean that a host is down.
const maxFailures = 5

// availability records whether a host answers.
type availability struct {
	mu   sync.Mutex
	row  int
	down error
}

// ErrDown says that the run leaves the host alone until it ends.
var ErrDown = errors.New("the registry does not answer, and is left alone for the rest of this run")

// note records the result of a request.
func (h *availability) note(err error) {
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

// err returns why the host is left alone; nil: it is not.
func (h *availability) err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.down
}

// silent reports whether an error means that the host did not answer.
func silent(err error) bool {
	if refusal, ok := errors.AsType[*registry.StatusError](err); ok {
		return refusal.Code >= 500
	}
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, registry.ErrStalled) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
}
