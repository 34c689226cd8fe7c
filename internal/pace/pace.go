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

// Minimum is the least pace that is put up with: Bytes for each Within that the peer is waited for. So an answer of n
// bytes has Within, and as much again for each Bytes of it, and headers alone have Within.
type Minimum struct {
	Bytes  int64
	Within time.Duration
}

// Window is what has to move within a time-out, in bytes, unless there is a reason for another number: with a time-out of a
// minute that is 17 KiB/s, less than a satellite link gives to each of a hundred downloads.
const Window = 1 << 20

// ErrSlow is wrapped by the errors of all transfers that were given up for their pace.
var ErrSlow = errors.New("too slow")

// Err says what a peer that is given up did; it wraps [ErrSlow].
func (m Minimum) Err() error {
	return fmt.Errorf("%w: less than %d KiB moved within %v", ErrSlow, m.Bytes>>10, m.Within)
}

// Watch is the clock of one transfer in one direction. Its methods may be called from several goroutines.
type Watch struct {
	min Minimum

	mu      sync.Mutex
	timer   *time.Timer
	since   time.Time     // when the wait began; zero: nobody waits
	spent   time.Duration // on earlier waits of this window
	moved   int64         // in this window
	stopped bool
}

// Watch makes a clock that stands. slow is called once, from a goroutine of its own, when the peer is too slow; it ends the
// transfer.
func (m Minimum) Watch(slow func()) *Watch {
	w := &Watch{min: m, timer: time.AfterFunc(m.Within, sync.OnceFunc(slow))}
	w.timer.Stop()
	return w
}

// Wait lets the clock run: the peer is waited for.
func (w *Watch) Wait() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped || !w.since.IsZero() {
		return
	}
	w.since = time.Now()
	w.timer.Reset(max(w.min.Within-w.spent, 1))
}

// Moved halts the clock: n bytes have come, or gone.
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

// Turn halts the clock, and gives what follows a whole window: the request is sent, now the answer is waited for.
func (w *Watch) Turn() { w.Moved(w.min.Bytes) }

// Stop ends the clock for good.
func (w *Watch) Stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.timer.Stop()
}

// Read reads from r, a peer, under the clock.
func (w *Watch) Read(r io.Reader, p []byte) (int, error) {
	w.Wait()
	n, err := r.Read(p)
	w.Moved(int64(n))
	return n, err
}

// Send reads from r what a peer is to be sent. The clock runs between the
// calls: while r is read, it is us who are waited for. After an error, which may be the end, the peer's answer is waited for.
func (w *Watch) Send(r io.Reader, p []byte) (int, error) {
	w.Moved(0)
	n, err := r.Read(p)
	if err != nil {
		w.Turn()
	}
	w.Moved(int64(n)) // taken or not: what is handed to a socket is a few of its buffers at most
	w.Wait()
	return n, err
}
