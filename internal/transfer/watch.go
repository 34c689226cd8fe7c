package transfer

import (
	"fmt"
	"time"

	"ociproxy/internal/wait"
)

// watch looks from time to time for what stands still; it ends with the engine.
func (e *Engine) watch() {
	for now := range wait.Every(e.ctx, max(min(e.opt.Stall/4, e.breath()), time.Millisecond)) {
		e.round(now)
	}
}

// round is one look.
func (e *Engine) round(now time.Time) {
	e.mu.Lock()
	defer e.unlock()
	if !e.fullTill.IsZero() && now.After(e.fullTill) {
		e.fullTill = time.Time{}
		e.disk.limit = e.disk.cap
		e.disk.grant()
	}
	for _, t := range e.targets {
		for l := range t.running {
			if l.pulse.still(now) > e.patience(l) {
				l.cancel(fmt.Errorf("%s: %w", t.Name, ErrStalled))
			}
		}
	}
	if e.opt.CopyWithinGroup { // else nothing waits for another leg
		e.deposeAll(now)
	}
	e.relieveAll()
}

// copyRate is the slowest copy inside a provider that is waited for, in bytes a second.
const copyRate = 8 << 20

// patience is how long a target may not move at one leg.
func (e *Engine) patience(l *leg) time.Duration {
	d := 5 * e.opt.Stall
	if l.step == carry {
		d += time.Duration(l.f.blob.Size/copyRate) * time.Second
	}
	return d
}

// late returns for how long a leg that others wait for has not moved.
func (l *leg) late(now time.Time) time.Duration {
	switch l.state {
	case running:
		return l.pulse.still(now)
	case queued:
		return now.Sub(l.queued)
	default:
		return 0
	}
}

// deposeAll looks for legs that others wait for and that do not get on.
func (e *Engine) deposeAll(now time.Time) {
	for _, f := range e.flights {
		for _, l := range f.legs {
			if l.lead != nil && l.lead.late(now) > e.opt.Grace {
				e.depose(l.lead)
			}
		}
	}
}

// depose lets another one of the group lead in place of a leg that does not get on.
func (e *Engine) depose(lead *leg) {
	var heir *leg
	for _, l := range lead.f.legs {
		if l.lead == lead && (heir == nil || l.target < heir.target) {
			heir = l
		}
	}
	for _, l := range lead.f.legs {
		if l.lead == lead && l != heir && e.copies(l, heir.target) {
			l.lead = heir
		}
	}
	heir.lead, heir.step = nil, look
	e.enqueue(heir)
}
