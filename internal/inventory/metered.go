package inventory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// metered is an [Origin] with a limit of bytes an hour: otherwise a bucket that lists other segments at every look
// would cause downloads without end. It is safe for concurrent use.
type metered struct {
	Origin
	hourly int64
	now    func() time.Time

	mu   sync.Mutex
	left int64
	at   time.Time // the time of left
}

func newMetered(o Origin, hourly int64, now func() time.Time) *metered {
	return &metered{Origin: o, hourly: hourly, now: now, left: hourly}
}

// hourly returns the bytes per hour for a store that may list that many records: one complete list, by sha512.
func hourly(records int64) int64 {
	return records*int64(sha512Digests.recordLen()) + MaxSegments*HeaderLen
}

// errSpent says that an origin has delivered what it may in an hour.
var errSpent = errors.New("its lists have brought all they may in an hour, the rest waits")

// Open implements [Origin]. What is not read is given back when the body is closed.
func (m *metered) Open(ctx context.Context, ref SegmentRef) (io.ReadCloser, error) {
	if !m.take(ref.Bytes) {
		return nil, fmt.Errorf("%w: %d bytes", errSpent, m.hourly)
	}
	body, err := m.Origin.Open(ctx, ref)
	if err != nil {
		m.give(ref.Bytes)
		return nil, err
	}
	return &meteredBody{ReadCloser: body, m: m, left: ref.Bytes}, nil
}

func (m *metered) take(n int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if passed := min(now.Sub(m.at), time.Hour); passed > 0 { // a clock that jumps back adds nothing
		m.left = min(m.hourly, m.left+int64(passed.Seconds()*float64(m.hourly)/time.Hour.Seconds()))
	}
	m.at = now
	if n > m.left {
		return false
	}
	m.left -= n
	return true
}

func (m *metered) give(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left = min(m.hourly, m.left+n)
}

// meteredBody counts what is read of what was taken.
type meteredBody struct {
	io.ReadCloser
	m    *metered
	left int64
}

// Read implements [io.Reader].
func (b *meteredBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}

// Close implements [io.Closer].
func (b *meteredBody) Close() error {
	b.m.give(max(0, b.left))
	b.left = 0
	return b.ReadCloser.Close()
}
