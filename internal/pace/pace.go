// Package pace makes sure that transfers keep moving. It gives up a peer that sends a byte a minute, as it gives up a
// peer that hangs. The time limit grows with what the peer delivers.
//
// It counts the time in which we wait for the peer, not the time in which we work on the data. It knows clocks and
// numbers of bytes. It must not know who the peer is. It imports nothing of this module.
package pace

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Minimum is the slowest pace that is accepted: Bytes for each Within of waiting for the peer. So a response of n
// bytes has the time Within, plus Within for each Bytes in it. Headers alone have the time Within.
type Minimum struct {
	Bytes  int64
	Within time.Duration
}

// Window is the default number of bytes that must move within a time-out. With a time-out of a minute that is 17
// KiB/s, less than a satellite link gives to each of a hundred downloads.
const Window = 1 << 20

// ErrSlow is wrapped by the errors of all transfers that were ended for being too slow.
var ErrSlow = errors.New("too slow")

// Err returns the error for a peer that was too slow. It wraps [ErrSlow].
func (m Minimum) Err() error {
	return fmt.Errorf("%w: less than %d KiB moved within %v", ErrSlow, m.Bytes>>10, m.Within)
}

// Watch is the clock of one transfer in one direction. Its methods may be called from several goroutines.
type Watch struct {
	min Minimum

	mu      sync.Mutex
	timer   *time.Timer
	since   time.Time     // when the wait began; zero: not waiting
	spent   time.Duration // time spent in earlier waits of this window
	moved   int64         // bytes moved in this window
	stopped bool
}

// Watch makes a stopped clock. When the peer is too slow, slow is called once, from its own goroutine; it must end
// the transfer.
func (m Minimum) Watch(slow func()) *Watch {
	w := &Watch{min: m, timer: time.AfterFunc(m.Within, sync.OnceFunc(slow))}
	w.timer.Stop()
	return w
}

// Wait starts the clock: from now on we wait for the peer.
func (w *Watch) Wait() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped || !w.since.IsZero() {
		return
	}
	w.since = time.Now()
	w.timer.Reset(max(w.min.Within-w.spent, 1))
}

// Moved stops the clock: n bytes were received or sent.
func (w *Watch) Moved(n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
	if !w.since.IsZero() {
		w.spent += time.Since(w.since)
		w.since = time.Time{}
	}
	if w.moved += n; w.moved >= w.min.Bytes {
		w.moved, w.spent = 0, 0
	}
}

// Turn stops the clock and starts a new full window: the request is sent, and next we wait for the response.
func (w *Watch) Turn() { w.Moved(w.min.Bytes) }

// Stop stops the clock permanently.
func (w *Watch) Stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.timer.Stop()
}

// Read reads from r, a peer, while the clock runs.
func (w *Watch) Read(r io.Reader, p []byte) (int, error) {
	w.Wait()
	n, err := r.Read(p)
	w.Moved(int64(n))
	return n, err
}

// Send reads from r the data for a peer. The clock runs between the calls and not during a call, because then the
// peer waits for us. After an error, which may be the end of the data, we wait for the peer's response.
func (w *Watch) Send(r io.Reader, p []byte) (int, error) {
	w.Moved(0)
	n, err := r.Read(p)
	if err != nil {
		w.Turn()
	}
	w.Moved(int64(n)) // counted even if the peer has not taken them: a socket holds only a few buffers
	w.Wait()
	return n, err
}
