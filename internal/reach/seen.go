package reach

import "slices"

// This is what a line remembers of past requests, in 76 bytes.

const (
	lastSlots   = 8
	sampleSlots = 8
	partSlots   = 3
	blobSlots   = lastSlots + sampleSlots

	pulls = 3 // how many repositories' pulls are kept apart

	eraBits = 3
	lineAge = 3 // eras after which the bits mean nothing
)

// age forgets what is too old to be asked again.
func (l *line) age(now uint32) {
	was := l.used
	l.used = now
	if l.state == open && now-was > Window {
		*l = line{used: now}
		return
	}
	then, current := was/era, now/era
	if current == then {
		return
	}
	if current-then >= lineAge {
		clear(l.seen[:])
		l.run = 0
		return
	}
	for i, b := range l.seen {
		if (current-b)&eraBits >= lineAge {
			// It counts as new when it is requested again, so earlier requests no longer count.
			l.seen[i], l.run = 0, 0
		}
	}
}

// asked reports whether the same was requested before, or the complete blob of which this may be the second part.
func (l *line) asked(a *ask) bool {
	return l.has(a.key) || a.resume != 0 && l.has(a.resume)
}

func (l *line) has(key uint32) bool {
	for _, b := range l.seen {
		if b != 0 && (b^key)&^eraBits == 0 {
			return true
		}
	}
	return false
}

// note records a request, and counts the blobs.
func (l *line) note(a *ask) {
	switch a.kind {
	case blobAsked:
		l.count(a, a.key)
	case partAsked:
		if !l.has(a.any) {
			l.count(a, a.any)
		}
		// The first parts stay: if two machines fetch the same thousand parts, both ask for these.
		parts := l.seen[blobSlots:]
		at := slices.Index(parts, 0)
		if at < 0 {
			at = len(parts) - 1
		}
		parts[at] = word(a.key, a.now)
	case nothing:
	}
}

// count records a blob that was not requested before.
func (l *line) count(a *ask, key uint32) {
	l.pull(a.repo)
	if l.given[0]++; l.given[0] > parallel {
		l.given[0] = parallel + 1
	}
	if l.run = min(l.run, lastSlots) + 1; l.run > parallel && l.level == Nearest {
		l.worked = a.now
	}
	at := &l.seen[l.noted%lastSlots]
	old := *at
	*at = word(key, a.now)
	l.noted++
	if old != 0 {
		l.keep(old)
	}
}

// keep moves a blob that is no longer one of the latest into the sample. While one pull goes on without another
// between, the sample keeps as many of its blobs as it has room for. Otherwise it would not recognise a client that
// starts over.
func (l *line) keep(w uint32) {
	sample := l.seen[lastSlots:blobSlots]
	own := l.state == open && l.run > lastSlots
	at, largest := -1, 0
	for i, b := range sample {
		if b == 0 || (w-b)&eraBits > 1 || own && l.mine>>i&1 == 0 {
			at = i
			break
		}
		if b > sample[largest] {
			largest = i
		}
	}
	switch {
	case at >= 0:
	case w < sample[largest]:
		at = largest
	default:
		return
	}
	sample[at] = w
	l.mine &^= 1 << at
	if own {
		l.mine |= 1 << at
	}
}

// word returns a key with the era in its lower bits.
func word(key, now uint32) uint32 { return key&^eraBits | (now/era)&eraBits }
