package proxy

import (
	"errors"
	"io"
	"net/netip"
	"sync"

	"ociproxy/internal/oci"
)

const (
	maxRelayBytes = 8 << 20
	// maxRelayMemory bounds the memory of all tag lists at once: those being read, and those written to slow clients.
	maxRelayMemory = 96 << 20
	// maxClientRelays bounds the tag lists that one client network has under way.
	maxClientRelays = 4
	// leastRelay is what a list counts for from the start, so that the number of lists is bounded too.
	leastRelay = 256 << 10
	// spread is the memory that each byte of a list takes while it is read: buffers double as they grow.
	spread = 2
)

// errBusy says that other lists under way leave no room.
var errBusy = errors.New("too many tag lists under way")

// relays bounds the tag lists under way and shares the memory. A client network never has more than a quarter of what
// is left. So one network has room for the largest list. A network that takes all it can get leaves four fifths to
// the next. After fifteen of them, a new network still finds half a megabyte. Safe for concurrent use.
type relays struct {
	mu      sync.Mutex
	free    int64
	clients map[netip.Prefix]*held
}

// held is what a client network holds.
type held struct {
	lists  int
	memory int64
}

func newRelays() *relays { return &relays{free: maxRelayMemory, clients: map[netip.Prefix]*held{}} }

// relayShare is the memory of one list. Its owner uses it from one goroutine at a time.
type relayShare struct {
	of     *relays
	client netip.Prefix
	n      int64
}

// acquire takes room for one list of client, or returns why there is none.
func (r *relays) acquire(client netip.Prefix) (*relayShare, *oci.Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.clients[client]
	if h == nil {
		h = &held{}
	}
	if h.lists >= maxClientRelays || !r.fits(h, leastRelay) {
		return nil, busy(h.lists)
	}
	r.clients[client] = h
	h.lists++
	h.memory += leastRelay
	r.free -= leastRelay
	return &relayShare{of: r, client: client, n: leastRelay}, nil
}

// busy returns the answer when there is no room for a client's list. If the client's network has other lists under way,
// that is its own doing and raises no alert. Otherwise the proxy is the one that is busy.
func busy(others int) *oci.Error {
	if others > 0 {
		return oci.ErrTooManyRequests.With(errBusy.Error())
	}
	return oci.ErrUnavailable.With(errBusy.Error())
}

// busy returns the answer to a client whose list does not fit next to the other lists under way.
func (s *relayShare) busy() *oci.Error {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	return busy(s.of.clients[s.client].lists - 1)
}

func (r *relays) fits(h *held, more int64) bool { return 4*(h.memory+more) <= r.free-more }

// resize makes the share n bytes, or its minimum, and reports whether there is room for that.
func (s *relayShare) resize(n int64) bool {
	r := s.of
	more := max(n, leastRelay) - s.n
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.clients[s.client]
	if more > 0 && !r.fits(h, more) {
		return false
	}
	h.memory += more
	r.free -= more
	s.n += more
	return true
}

// release gives everything back. The share must not be used any more.
func (s *relayShare) release() {
	r := s.of
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.clients[s.client]
	h.memory -= s.n
	r.free += s.n
	if h.lists--; h.lists == 0 {
		delete(r.clients, s.client)
	}
}

// reader returns a reader of in that grows the share as bytes come. It counts kept bytes that are already there, and
// spread bytes for each byte that it reads. It fails with [errBusy] when there is no room.
func (s *relayShare) reader(in io.Reader, kept int64) io.Reader {
	return &sharedReader{in: in, share: s, kept: kept}
}

type sharedReader struct {
	in         io.Reader
	share      *relayShare
	kept, read int64
}

// Read implements [io.Reader].
func (r *sharedReader) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	r.read += int64(n)
	if need := r.kept + spread*r.read; need > r.share.n {
		// It takes a little more than it needs, so that it takes the lock less often.
		if !r.share.resize(need+leastRelay) && !r.share.resize(need) {
			return 0, errBusy
		}
	}
	return n, err
}
