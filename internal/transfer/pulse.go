package transfer

import (
	"sync/atomic"
	"time"
)

// pulse records whether an upload or a copy moves. A wait for the source does not count as a standstill.
type pulse struct {
	last    atomic.Int64 // time of the last sign of life, Unix nanoseconds
	resting atomic.Int32 // how many calls wait for bytes to arrive
	reached atomic.Int64 // the highest offset handed out so far
}

func newPulse() *pulse {
	p := new(pulse)
	p.last.Store(time.Now().UnixNano())
	return p
}

func (p *pulse) rest() { p.resting.Add(1) }

func (p *pulse) beat() {
	p.resting.Add(-1)
	p.last.Store(time.Now().UnixNano())
}

// sent notes that the bytes before off were handed out.
func (p *pulse) sent(off int64) {
	p.last.Store(time.Now().UnixNano())
	for {
		old := p.reached.Load()
		if off <= old || p.reached.CompareAndSwap(old, off) {
			return
		}
	}
}

// still returns for how long nothing has moved.
func (p *pulse) still(now time.Time) time.Duration {
	if p.resting.Load() > 0 {
		return 0
	}
	return now.Sub(time.Unix(0, p.last.Load()))
}
