package transfer

import (
	"slices"
	"time"

	"ociproxy/internal/store"
)

// plan begins deliveries of one blob. It decides which are sent, and which are copied and from where.
func (e *Engine) plan(deliveries []*delivery) {
	// The least busy target of a group gets the first copy. That spreads the uploads of many blobs over the group.
	slices.SortStableFunc(deliveries, func(a, b *delivery) int { return e.targets[a.target].load() - e.targets[b.target].load() })
	for _, d := range deliveries {
		switch origin, first := e.origin(d), e.firstCopy(d); {
		case origin >= 0:
			d.step, d.origin, d.from = toCopy, origin, store.Attrs{}
			e.enqueue(d)
		case first == nil:
			d.step = toLook
			e.enqueue(d)
		case first.state == ended:
			d.step, d.origin, d.from = toCopy, first.target, first.result.Attrs
			e.enqueue(d)
		default:
			d.state, d.first = waiting, first
		}
	}
}

func (t *target) load() int { return len(t.queue) + t.busy }

// copies reports whether delivery d may copy from target from.
func (e *Engine) copies(d *delivery, from int) bool {
	to, src := e.targets[d.target], e.targets[from]
	if !e.opt.CopyWithinGroup || to.Group == "" || to.Group != src.Group || from == d.target || src.tripped != nil {
		return false
	}
	c, ok := to.Sink.(Copier)
	return ok && c.CopiesFrom(src.Sink)
}

// origin returns a target that holds the blob already, as the caller asserts, and that d can copy from; -1: none.
func (e *Engine) origin(d *delivery) int {
	found := -1
	d.w.have.Each(func(i int) {
		if found < 0 && i < len(e.targets) && e.copies(d, i) {
			found = i
		}
	})
	return found
}

// firstCopy returns the delivery whose target d may copy from, now or when that delivery has ended; nil: d must bring
// the first copy itself.
func (e *Engine) firstCopy(d *delivery) *delivery {
	var first *delivery
	for _, o := range d.w.deliveries {
		switch {
		case o == d || o.first != nil || !e.copies(d, o.target):
		case o.state == ended && o.result.Err == nil:
			return o
		case o.state != ended && o.step != toCopy && (first == nil || o.target < first.target) && o.state != fresh:
			first = o
		}
	}
	return first
}

// copyOn begins the deliveries that waited for d.
func (e *Engine) copyOn(d *delivery) {
	var waiters []*delivery
	for _, o := range d.w.deliveries {
		if o.first == d {
			waiters = append(waiters, o)
		}
	}
	slices.SortFunc(waiters, func(a, b *delivery) int { return a.target - b.target })
	for _, o := range waiters {
		o.state, o.first = fresh, nil
	}
	e.plan(waiters)
}

// enqueue gives a delivery to the workers of its target.
func (e *Engine) enqueue(d *delivery) {
	d.state, d.queued = queued, time.Now()
	t := e.targets[d.target]
	t.queue = append(t.queue, d)
	e.dispatch(t)
}

// unqueue takes a delivery back from the workers.
func (e *Engine) unqueue(d *delivery) {
	t := e.targets[d.target]
	t.queue = slices.DeleteFunc(t.queue, func(o *delivery) bool { return o == d })
}

// dispatch lets workers begin what waits for a target. It first sends blobs that have all their bytes, because they
// hold space; blobs that still wait for bytes come last.
func (e *Engine) dispatch(t *target) {
	for t.busy < e.opt.UploadsPerTarget && len(t.queue) > 0 {
		i := slices.IndexFunc(t.queue, func(d *delivery) bool { return d.step == toSend && d.w.stage == whole })
		if i < 0 {
			i = max(0, slices.IndexFunc(t.queue, func(d *delivery) bool { return d.step != toSend }))
		}
		d := t.queue[i]
		t.queue = slices.Delete(t.queue, i, i+1)
		d.state, d.pulse = running, newPulse()
		t.running[d] = true
		t.busy++
		e.begin(d)
	}
	switch free := t.busy < e.opt.UploadsPerTarget; {
	case !free:
		t.idle = time.Time{}
	case t.idle.IsZero():
		t.idle = time.Now()
	}
}

// want makes a delivery wait for the bytes that it needs, and starts their download.
func (e *Engine) want(d *delivery) {
	w := d.w
	d.step, d.state = toSend, waiting
	switch w.stage {
	case filling, whole:
		e.enqueue(d)
	case failed:
		e.drop(d, w.failure)
	case unread:
		w.stage, w.fetching, w.idleSince = coming, true, time.Time{}
		e.wg.Go(func() { e.fetch(w) })
	case coming:
	}
}
