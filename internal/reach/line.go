package reach

import "slices"

// Level says how far past its nearest candidate an address is sent.
type Level uint8

// The levels.
const (
	// Nearest: the first candidate that holds the blob, as for everybody.
	Nearest Level = iota
	// Next: the next candidate that is not canonical, at another host.
	Next
	// Upstream: the upstream that serves this client's manifests, the one host that is known to work for it.
	Upstream
)

// parallel is how many blobs of one image a runtime has under way at once, at most: containerd and docker 3, crane 4,
// podman and skopeo 6. A client that asks for more distinct blobs of one repository has got some of them.
const parallel = 6

// Times are in seconds.
const (
	// Window is how long an address is remembered that nothing was learnt of: longer than four tries of a kubelet
	// that backs off to 300 s.
	Window = 20 * 60
	// era is the grain in which a line forgets blobs: after two to three eras.
	era = 10 * 60
	// hold is how long an address is sent past its nearest before the nearest is tested again; twice as long after each
	// further proof of a second experiment, up to eight hours.
	hold = 60 * 60
	// verdict is how long an address is taken for several machines.
	verdict = 24 * 60 * 60
	// patience is how long repeats may be apart to belong together: twice the longest back-off of a kubelet.
	patience = 10 * 60
	// tested is how long the blob that tests the nearest may stay away to be taken for well received: twice the
	// longest back-off of a kubelet.
	tested = 10 * 60
	// stuckAfter is how long an address whose machines were all sent to the nearest again must go without progress
	// before it gets its second experiment. With the image that led to the verdict it must be longer than a fleet takes
	// to pull it: some of its machines have parts of it from elsewhere, so progress cannot be told.
	stuckAfter      = 3 * 60
	stuckImageAfter = 15 * 60
)

// Counts.
const (
	// doubts is how many different blobs must be asked for again before an experiment is given up: one may be a
	// connection that broke.
	doubts = 2
	// stuckRepeats is how many repeats without progress say that an address is stuck.
	stuckRepeats = 3
	// trialBlobs is how many new blobs of images that were stuck are progress in a trial.
	trialBlobs = 2
	// trialAsks is how many requests the second experiment of an address may take at each level.
	trialAsks = 12
	// maxProofs bounds how often the hold is doubled.
	maxProofs = 3
)

// state is what is known of an address.
type state uint8

const (
	// open: nothing is known; it is served by the nearest.
	open state = iota
	// trying: it asked again and is sent past the nearest. Whether that helps is not known yet.
	trying
	// held: it made progress where it was sent, and none at the nearest.
	held
	// shared: several machines, or one that downloads the same again. It is served by the nearest.
	shared
	// trial: it was taken for shared, but made no progress. It is sent past the nearest a second time.
	trial
	// settled: as shared, and nothing more is tried until the verdict's end.
	settled
)

// line is what is known of one address. Its table guards it.
type line struct {
	used  uint32 // when it last asked
	until uint32 // end of the verdict, or of the hold
	since uint32 // when the state was entered
	probe uint32 // the blob that tests the nearest; 0: none
	mark  uint32 // when it did, or when the last repeat was seen at the nearest

	repo     uint16 // the repository asked last, hashed
	nearRepo uint16 // as repo was when the nearest was left
	avoid    uint16 // the candidate that it is sent past, hashed
	mine     uint16 // which places of seen are repo's

	// stuck are the last repositories that something was asked of again, hashed, while the nearest served all.
	stuck [4]uint16

	state     state
	level     Level
	given     uint8 // distinct blobs of repo at this level
	nearGiven uint8 // as given was when the nearest was left
	repeats   uint8 // different blobs asked again at this level; asks, in a trial
	second    bool  // it is held by its second experiment
	proofs    uint8 // how often it was, since the last progress at the nearest
	fresh     uint8 // new blobs of stuck images, in a trial

	// seen are fingerprints of what was asked for, with the era in the lower two bits; 0: free. Parts have the last
	// places, so that a blob in a thousand parts pushes out none of the others.
	seen [blobSlots + partSlots]uint32
}

const (
	blobSlots = 16
	partSlots = 3

	eraBits = 3
	lineAge = 3 // eras after which the bits tell nothing
)

// ask is one request of an address.
type ask struct {
	key    uint32 // of the blob and span; its lower two bits are ignored
	resume uint32 // of the whole blob, when this may be its second part; 0: none
	any    uint32 // of any part of the blob
	kind   asked
	repo   uint16
	origin uint16 // of its nearest candidate
	now    uint32
	random uint32 // chooses what is forgotten
}

type asked uint8

const (
	blobAsked asked = iota // a whole blob, or its first bytes
	partAsked              // a part of one
	nothing                // a part that tells nothing
)

// Event is what a request made of its address.
type Event uint8

// The events.
const (
	None Event = iota
	// Complained: an address that nothing was known of asked again.
	Complained
	// Doubted: it asked again for what it got elsewhere.
	Doubted
	// Proven: it makes progress elsewhere, and made none at the nearest.
	Proven
	// Blocked: so do the machines behind an address that was taken for shared.
	Blocked
	// Stuck: they make no progress at the nearest, and nowhere else either.
	Stuck
	numEvents
)

var eventNames = [numEvents]string{"none", "complained", "doubted", "proven", "blocked", "stuck"}

// String is the metric label.
func (e Event) String() string { return eventNames[e] }

// Events lists the closed set of what may happen to an address.
func Events() []Event { return []Event{Complained, Doubted, Proven, Blocked, Stuck} }

// next is one step: where this request is sent, whether it is a repeat, and what that tells.
func (l *line) next(a *ask) (to Level, again bool, ev Event) {
	l.age(a.now)
	if l.state != open && a.now >= l.until {
		if l.expired(a) {
			return Nearest, false, None
		}
	}
	again = a.kind != nothing && l.asked(a)
	if !again && a.kind != nothing && l.repo != a.repo {
		l.begin(a.repo)
	}
	if !again {
		l.note(a)
	}
	ev = l.step(a, again)
	return l.at(a.origin), again, ev
}

// at is the level for a request whose nearest candidate is origin.
func (l *line) at(origin uint16) Level {
	if l.level == Next && l.avoid != origin {
		return Nearest // it is another candidate's turn anyway
	}
	return l.level
}

// step is the state machine.
func (l *line) step(a *ask, again bool) Event {
	switch l.state {
	case open:
		if again {
			l.nearRepo, l.nearGiven, l.avoid = l.repo, l.given, a.origin
			l.enter(trying, Next, a, hold)
			return Complained
		}
	case trying:
		return l.stepTrying(a, again)
	case held:
		// In a blocked network of machines repeats are usual. Without such proof, they say that these are machines.
		if again && !l.second && l.probe == 0 {
			if l.repeats++; l.repeats >= doubts {
				l.enter(shared, Nearest, a, verdict)
				return Doubted
			}
		}
	case shared:
		return l.stepShared(a, again)
	case trial:
		return l.stepTrial(a, again)
	case settled:
	}
	return None
}

func (l *line) stepTrying(a *ask, again bool) Event {
	progress := l.given > parallel
	switch {
	case !again:
		if progress && l.nearRepo == l.repo && l.nearGiven <= parallel && l.repeats == 0 {
			l.state = held
			return Proven
		}
		return None
	case l.level == Next && !progress:
		l.enter(trying, Upstream, a, hold)
		return Doubted
	}
	if l.repeats++; l.repeats < doubts {
		return None
	}
	if l.nearGiven > parallel { // progress at both
		l.enter(settled, Nearest, a, verdict)
	} else {
		l.enter(shared, Nearest, a, verdict)
	}
	return Doubted
}

func (l *line) stepShared(a *ask, again bool) Event {
	if l.given > parallel && l.repo != l.nearRepo {
		l.state, l.proofs = settled, 0
		return None
	}
	if !again {
		return None
	}
	if a.now-l.mark > patience {
		l.repeats, l.since = 0, a.now // machines that pull in step repeat each other, but make progress soon
	}
	l.mark = a.now
	if l.repeats < stuckRepeats {
		l.repeats++
	}
	if !slices.Contains(l.stuck[:], a.repo) {
		copy(l.stuck[1:], l.stuck[:])
		l.stuck[0] = a.repo
	}
	after := uint32(stuckAfter)
	if a.repo == l.nearRepo {
		after = stuckImageAfter
	}
	if l.repeats >= stuckRepeats && a.now-l.since >= after {
		l.avoid = a.origin
		l.enter(trial, Next, a, hold)
	}
	return None
}

// stepTrial looks for what was not asked for at the nearest, of images that were stuck there: of an image that begins now,
// or is small, nothing can be told.
func (l *line) stepTrial(a *ask, again bool) Event {
	if !again && a.kind != nothing && slices.Contains(l.stuck[:], a.repo) {
		l.fresh++
	}
	if l.fresh >= trialBlobs {
		l.state, l.second = held, true
		l.until = a.now + hold<<l.proofs
		l.proofs = min(l.proofs+1, maxProofs)
		return Blocked
	}
	if l.repeats++; l.repeats <= trialAsks {
		return None
	}
	switch {
	case l.level == Next:
		l.enter(trial, Upstream, a, hold)
		return None
	case l.proofs > 0:
		l.enter(shared, Nearest, a, verdict) // this image was too small to tell
		return None
	}
	l.enter(settled, Nearest, a, verdict)
	return Stuck
}

// enter begins a state with the request that led to it as the first that is answered there.
func (l *line) enter(s state, to Level, a *ask, lasts uint32) {
	l.state, l.level = s, to
	l.since, l.until = a.now, a.now+lasts
	l.repeats, l.given, l.mine, l.probe, l.second = 0, 0, 0, 0, false
	if s == trial {
		l.fresh = 0
		return // what was asked for at the nearest stays known
	}
	if s == shared {
		// Machines that got some blobs of this image elsewhere ask for the others: that is no progress here.
		l.nearRepo, l.mark = l.repo, 0
		l.stuck = [len(l.stuck)]uint16{}
	}
	clear(l.seen[:])
	l.note(a)
}

// expired ends a verdict, or has the nearest tested after a hold. ended says that the answer is the nearest.
func (l *line) expired(a *ask) (ended bool) {
	switch {
	case l.state != held:
		*l = line{used: l.used} // nothing was proven: the nearest gets another chance
	case l.second:
		// One blob tells nothing of many machines: only whether they make progress does.
		l.enter(shared, Nearest, a, verdict)
		return true
	case a.kind != blobAsked:
	case l.probe == 0:
		l.probe, l.mark = a.key|eraBits, a.now
		return true
	case l.probe == a.key|eraBits:
		// The pull that failed asks for its other blobs again, too.
		l.enter(held, l.level, a, hold)
	case a.now-l.mark >= tested:
		*l = line{used: l.used}
	}
	return false
}

// begin is the first request for another image.
func (l *line) begin(repo uint16) {
	l.repo, l.given, l.mine = repo, 0, 0
	clear(l.seen[blobSlots:])
	if l.state == shared {
		l.mark = 0 // what was repeated until now says nothing of this one
	}
}

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
		return
	}
	for i, b := range l.seen {
		if (current-b)&eraBits >= lineAge {
			l.seen[i] = 0
		}
	}
}

// asked reports whether the same was asked for, or the whole that this may be the second part of.
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

// note remembers what was asked for, and counts the blobs.
func (l *line) note(a *ask) {
	switch a.kind {
	case blobAsked:
		l.count(a, a.key)
	case partAsked:
		if !l.has(a.any) {
			l.count(a, a.any)
		}
		// The first parts stay: two machines that fetch the same thousand parts meet in them.
		parts := l.seen[blobSlots:]
		at := slices.Index(parts, 0)
		if at < 0 {
			at = len(parts) - 1
		}
		parts[at] = word(a.key, a.now)
	case nothing:
	}
}

// count notes a blob that was not asked for before.
func (l *line) count(a *ask, key uint32) {
	if l.given <= parallel {
		l.given++
	}
	at := l.room(int(a.random % blobSlots))
	l.mine |= 1 << at
	l.seen[at] = word(key, a.now)
}

// room is a free place, or one of another image, or the one that was drawn by lot: if the oldest had to go, a client
// that asks for more blobs in turn than a line holds would never be seen to ask again.
func (l *line) room(drawn int) int {
	other := -1
	for i := range blobSlots {
		at := (drawn + i) % blobSlots
		if l.seen[at] == 0 {
			return at
		}
		if other < 0 && l.mine>>at&1 == 0 {
			other = at
		}
	}
	if other >= 0 {
		return other
	}
	return drawn
}

// word is a key with the era in its lower bits.
func word(key, now uint32) uint32 { return key&^eraBits | (now/era)&eraBits }
