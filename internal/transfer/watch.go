package transfer

import (
	"fmt"
	"time"

	"ociproxy/internal/wait"
)

// watch checks at intervals for transfers that stand still. It ends with the engine.
func (e *Engine) watch() {
	for now := range wait.Every(e.ctx, max(min(e.opt.Stall/4, e.moment()), time.Millisecond)) {
		e.round(now)
	}
}

// round is one check.
func (e *Engine) round(now time.Time) {
	e.mu.Lock()
	defer e.unlock()
	if !e.fullTill.IsZero() && now.After(e.fullTill) {
		e.fullTill = time.Time{}
		e.disk.limit = e.disk.cap
		e.disk.grant()
	}
	for _, t := range e.targets {
		for d := range t.running {
			if d.pulse.still(now) > e.patience(d) {
				d.cancel(fmt.Errorf("%s: %w", t.Name, ErrStalled))
			}
		}
	}
	if e.opt.CopyWithinGroup { // without this, no delivery waits for another
		e.replaceLate(now)
	}
	e.makeRoomEverywhere()
}

// copyRate is the slowest copy inside a provider that the engine waits for, in bytes per second.
const copyRate = 8 << 20

// patience returns how long a delivery may stand still.
func (e *Engine) patience(d *delivery) time.Duration {
	long := 5 * e.opt.Stall
	if d.step == toCopy {
		long += time.Duration(d.w.blob.Size/copyRate) * time.Second
	}
	return long
}

// late returns for how long a delivery that others wait for has not moved.
func (d *delivery) late(now time.Time) time.Duration {
	switch d.state {
	case running:
		return d.pulse.still(now)
	case queued:
		return now.Sub(d.queued)
	default:
		return 0
	}
}

// replaceLate finds first copies that do not move while others wait for them.
func (e *Engine) replaceLate(now time.Time) {
	for _, w := range e.work {
		for _, d := range w.deliveries {
			if d.first != nil && d.first.late(now) > e.opt.Grace {
				e.replaceFirst(d.first)
			}
		}
	}
}

// replaceFirst lets another target of the group bring the first copy instead of one that does not move.
func (e *Engine) replaceFirst(first *delivery) {
	var next *delivery
	for _, d := range first.w.deliveries {
		if d.first == first && (next == nil || d.target < next.target) {
			next = d
		}
	}
	for _, d := range first.w.deliveries {
		if d.first == first && d != next && e.copies(d, next.target) {
			d.first = next
		}
	}
	next.first, next.step = nil, toLook
	e.enqueue(next)
}
