package transfer

import (
	"slices"
	"time"

	"ociproxy/internal/store"
)

// plan sets legs off, all of one flight: which are sent, and which are copied and from where.
func (e *Engine) plan(legs []*leg) {
	// The least busy one of a group leads, so that the uploads of many blobs are spread over its targets.
	slices.SortStableFunc(legs, func(a, b *leg) int { return e.targets[a.target].load() - e.targets[b.target].load() })
	for _, l := range legs {
		switch origin, lead := e.origin(l), e.leader(l); {
		case origin >= 0:
			l.step, l.origin, l.from = carry, origin, store.Attrs{}
			e.enqueue(l)
		case lead == nil:
			l.step = look
			e.enqueue(l)
		case lead.state == ended:
			l.step, l.origin, l.from = carry, lead.target, lead.result.Attrs
			e.enqueue(l)
		default:
			l.state, l.lead = waiting, lead
		}
	}
}

func (t *target) load() int { return len(t.queue) + t.busy }

// copies says whether leg l may copy from target from.
func (e *Engine) copies(l *leg, from int) bool {
	to, src := e.targets[l.target], e.targets[from]
	if !e.opt.CopyWithinGroup || to.Group == "" || to.Group != src.Group || from == l.target || src.tripped != nil {
		return false
	}
	c, ok := to.Bucket.(store.Copier)
	return ok && c.CopiesFrom(src.Bucket)
}

// origin returns a target that holds the blob already, says the caller, and can be copied from; -1: none.
func (e *Engine) origin(l *leg) int {
	found := -1
	l.f.have.Each(func(i int) {
		if found < 0 && i < len(e.targets) && e.copies(l, i) {
			found = i
		}
	})
	return found
}

// leader returns the leg whose target l may copy from, now or when it has ended; nil: none, or l itself leads.
func (e *Engine) leader(l *leg) *leg {
	var lead *leg
	for _, o := range l.f.legs {
		switch {
		case o == l || o.lead != nil || !e.copies(l, o.target):
		case o.state == ended && o.result.Err == nil:
			return o
		case o.state != ended && o.step != carry && (lead == nil || o.target < lead.target) && o.state != fresh:
			lead = o
		}
	}
	return lead
}

// follow sets off the legs that waited for l.
func (e *Engine) follow(l *leg) {
	var followers []*leg
	for _, o := range l.f.legs {
		if o.lead == l {
			followers = append(followers, o)
		}
	}
	slices.SortFunc(followers, func(a, b *leg) int { return a.target - b.target })
	for _, o := range followers {
		o.state, o.lead = fresh, nil
	}
	e.plan(followers)
}

// enqueue gives a leg to the workers of its target.
func (e *Engine) enqueue(l *leg) {
	l.state, l.queued = queued, time.Now()
	t := e.targets[l.target]
	t.queue = append(t.queue, l)
	e.dispatch(t)
}

// unqueue takes a leg back from them.
func (e *Engine) unqueue(l *leg) {
	t := e.targets[l.target]
	t.queue = slices.DeleteFunc(t.queue, func(o *leg) bool { return o == l })
}

// dispatch lets workers begin what waits for a target. What has all its bytes is sent first, for it holds space; what still waits for some
// comes last.
func (e *Engine) dispatch(t *target) {
	for t.busy < e.opt.UploadsPerTarget && len(t.queue) > 0 {
		i := slices.IndexFunc(t.queue, func(l *leg) bool { return l.step == send && l.f.stage == whole })
		if i < 0 {
			i = max(0, slices.IndexFunc(t.queue, func(l *leg) bool { return l.step != send }))
		}
		l := t.queue[i]
		t.queue = slices.Delete(t.queue, i, i+1)
		l.state, l.pulse = running, newPulse()
		t.running[l] = true
		t.busy++
		e.begin(l)
	}
	switch free := t.busy < e.opt.UploadsPerTarget; {
	case !free:
		t.idle = time.Time{}
	case t.idle.IsZero():
		t.idle = time.Now()
	}
}

// want brings a leg that needs bytes on its way to them.
func (e *Engine) want(l *leg) {
	f := l.f
	l.step, l.state = send, waiting
	switch f.stage {
	case filling, whole:
		e.enqueue(l)
	case failed:
		e.drop(l, f.failure)
	case grounded:
		f.stage, f.fetching, f.parked = coming, true, time.Time{}
		e.wg.Go(func() { e.fetch(f) })
	case coming:
	}
}
