package reach

import (
	"cmp"
	"math/bits"
	"slices"
)

// Level says how far past its nearest candidate an address is sent.
type Level uint8

// The levels.
const (
	// Nearest: the first candidate that holds the blob, as for all clients.
	Nearest Level = iota
	// Next: the next candidate that is not canonical, at another host.
	Next
	// Upstream: the upstream that serves this client's manifests, the one host that is known to work for it.
	Upstream
)

// parallel is how many blobs of one image a runtime has under way at once, at most: containerd and docker 3, crane 4,
// podman and skopeo 6. A client that asks for more distinct blobs of one repository has downloaded some of them.
const parallel = 6

// Times are in seconds.
const (
	// Window is how long the table remembers an address about which it learned nothing: longer than four tries of a
	// kubelet that backs off to 300 s.
	Window = 20 * 60
	// era is the unit of time in which a line forgets blobs: it forgets a blob after two to three eras.
	era = 10 * 60
	// hold is how long an address is sent past its nearest before the nearest is tested again. It doubles after each
	// further proof of a second experiment, up to eight hours.
	hold = 60 * 60
	// verdict is how long an address counts as several machines.
	verdict = 24 * 60 * 60
	// patience is the longest time between repeats that belong together: twice the longest back-off of a kubelet.
	patience = 10 * 60
	// tested is how long the blob that tests the nearest must not be requested again to count as received: twice the
	// longest back-off of a kubelet.
	tested = 10 * 60
	// stuckAfter is how long the machines behind an address that was sent back to its nearest may repeat requests
	// without progress before the address gets its second experiment. soonAfter applies when it made progress
	// elsewhere and none at the nearest. By then, a fleet that starts one image at once has pulled it, or at least
	// its first blobs.
	stuckAfter = 150
	soonAfter  = 20
	// slowAfter is the same for the image that led to the verdict, once more of its blobs are asked for than a
	// runtime has under way. Some of its machines have parts of it from elsewhere, so this is likely progress, but no
	// proof of it.
	slowAfter = 15 * 60
	// trialTime is how long the second experiment lasts at each level, at least: machines that ask at once have to
	// finish some blobs before they can ask for new ones.
	trialTime = 10
)

// Counts.
const (
	// doubts is how many different blobs must be asked for again before an experiment is given up: a single one may
	// be a connection that broke.
	doubts = 2
	// stuckRepeats is how many repeats without progress mean that an address is stuck.
	stuckRepeats = 3
	// trialBlobs is how many new blobs of stuck images count as progress in a trial.
	trialBlobs = 2
	// trialAsks is how many requests for the stuck image the second experiment takes at each level, at least.
	trialAsks = 12
	// maxTrials bounds how many second experiments without a proof a day has: images of a few blobs give no proof.
	maxTrials = 2
	// maxProofs bounds how often the hold doubles.
	maxProofs = 3
)

// state is what is known about an address.
type state uint8

const (
	// open: nothing is known; the nearest serves it.
	open state = iota
	// trying: it asked again and is sent past the nearest. It is not known yet whether that helps.
	trying
	// held: it made progress where it was sent, and none at the nearest.
	held
	// shared: several machines, or one that downloads the same again. The nearest serves it.
	shared
	// trial: it counted as shared, but made no progress. It is sent past the nearest a second time.
	trial
	// settled: like shared, but without further experiments until the verdict ends.
	settled
)

// line is what is known about one address. The table's lock guards it.
type line struct {
	used  uint32 // when it last asked
	until uint32 // end of the verdict, or of the hold
	since uint32 // when the state was entered, or the repository that is watched was chosen
	probe uint32 // the blob that tests the nearest; 0: none
	mark  uint32 // when it was requested, or when the last repeat was seen at the nearest

	// worked is when the nearest last delivered more of an image than a runtime has under way; 0: never.
	worked uint32
	// watched has a bit for each blob of watch that was asked for at the nearest, by the blob's hash.
	watched uint32

	repos    [pulls]uint16 // the repositories of the last requests, hashed, the latest first
	nearRepo uint16        // the repository that led to the verdict
	watch    uint16        // the repository whose repeats are counted while the nearest serves all; 0: none
	from     uint16        // the nearest candidate of its last request, hashed; 0: none
	avoid    uint16        // the candidate that it is sent past, hashed

	state   state
	level   Level
	given   [pulls]uint8 // distinct blobs of each of repos at this level
	repeats uint8        // different blobs repeated at this level; in a trial, requests
	fresh   uint8        // in a trial, new blobs of watch
	proofs  uint8        // number of trials with a proof since the last progress at the nearest
	trials  uint8        // number of trials without a proof since then
	second  bool         // its second experiment holds it
	early   bool         // the second experiment may come early

	noted uint8 // number of recorded blobs, modulo 256
	run   uint8 // how many of these since the repository changed
	mine  uint8 // which places of the sample belong to that run

	// seen are fingerprints of what was asked for, with the era in the lower two bits; 0: free. First come the latest
	// blobs, then a sample of the earlier ones. The sample keeps the blobs with the smallest hashes, so that clients
	// that repeat any number of blobs hit the same ones. Parts have the last places, so that a blob in a thousand
	// parts does not push out the others.
	seen [lastSlots + sampleSlots + partSlots]uint32
}

// ask is one request of an address.
type ask struct {
	key    uint32 // of the blob and span; the lower two bits are ignored
	resume uint32 // of the complete blob, if this may be its second part; 0: none
	any    uint32 // of any part of the blob
	kind   asked
	repo   uint16
	origin uint16 // of its nearest candidate
	now    uint32
}

type asked uint8

const (
	blobAsked asked = iota // a complete blob, or its first bytes
	partAsked              // a part of a blob
	nothing                // a part without significance
)

// bit returns the bit of the blob in watched.
func (a *ask) bit() uint32 { return 1 << (a.any >> 27) }

// Event is what a request revealed about its address.
type Event uint8

// The events.
const (
	None Event = iota
	// Complained: an address about which nothing was known asked again.
	Complained
	// Doubted: it asked again for what it got elsewhere.
	Doubted
	// Proven: it makes progress elsewhere, and made none at the nearest.
	Proven
	// Blocked: the same as Proven, for the machines behind an address that counted as shared.
	Blocked
	// Stuck: these machines make no progress at the nearest, and none elsewhere.
	Stuck
	numEvents
)

var eventNames = [numEvents]string{"none", "complained", "doubted", "proven", "blocked", "stuck"}

// String returns the metric label.
func (e Event) String() string { return eventNames[e] }

// Events lists the closed set of events.
func Events() []Event { return []Event{Complained, Doubted, Proven, Blocked, Stuck} }

// next takes one request. It returns where to send it, whether it is a repeat, and what it reveals.
func (l *line) next(a *ask) (to Level, again bool, ev Event) {
	l.age(a.now)
	if l.state != open && a.now >= l.until {
		if l.expired(a) {
			return Nearest, false, None
		}
	}
	again = a.kind != nothing && l.asked(a)
	if !again {
		l.note(a)
	}
	ev = l.step(a, again)
	return l.at(a.origin, a.repo), again, ev
}

// returns reports whether the address asks again for something that a store was to deliver. The repeats of shared
// addresses are watched at stores only.
func (l *line) returns(a *ask) bool {
	l.age(a.now)
	return l.state <= held && a.kind != nothing && l.asked(a)
}

// at returns the level for a request whose nearest candidate is origin.
func (l *line) at(origin, repo uint16) Level {
	if l.state == trial && repo != l.watch {
		return Nearest
	}
	if l.level == Next && l.avoid != origin {
		return Nearest // for this request, another candidate is the nearest anyway
	}
	return l.level
}

// step is the state machine.
func (l *line) step(a *ask, again bool) Event {
	switch l.state {
	case open:
		if again {
			// The candidate that failed is the one that the address was sent to. Other addresses may have found the
			// fault first, so that this blob has another nearest candidate now. The next blob may still have the
			// faulty one.
			l.avoid = cmp.Or(l.from, a.origin)
			l.enter(trying, Next, a, hold)
			return Complained
		}
		l.from = a.origin
	case trying:
		return l.stepTrying(a, again)
	case held:
		// In a blocked network of machines, repeats are usual. Without proof of a block, repeats mean several
		// machines.
		if again && !l.second && l.probe == 0 {
			if l.repeats++; l.repeats >= doubts {
				l.enter(shared, Nearest, a, verdict)
				l.early = true
				return Doubted
			}
		}
	case shared:
		return l.stepShared(a, again)
	case trial:
		return l.stepTrial(a)
	case settled:
	}
	return None
}

func (l *line) stepTrying(a *ask, again bool) Event {
	l.until = max(l.until, min(a.now+hold, l.since+8*hold))
	progress := slices.Max(l.given[:]) > parallel
	switch {
	case !again:
		if progress && !l.nearWorked() && l.repeats == 0 {
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
	if l.nearWorked() { // progress at both
		l.enter(settled, Nearest, a, verdict)
	} else {
		l.enter(shared, Nearest, a, verdict)
	}
	return Doubted
}

// stepShared watches one repository at a time: machines that pull in step repeat each other, but finish soon.
func (l *line) stepShared(a *ask, again bool) Event {
	if l.run > parallel && l.repos[0] != l.nearRepo {
		// nearRepo does not count: machines that have some of its blobs from elsewhere ask for the rest. That is no
		// progress here.
		l.state, l.proofs, l.trials = settled, 0, 0
		return None
	}
	if again && (l.watch == 0 || a.now-l.mark > patience) {
		l.watch, l.watched, l.repeats, l.since = a.repo, 0, 0, a.now
	}
	if l.watch != a.repo {
		return None
	}
	l.watched |= a.bit()
	if !again {
		return None
	}
	l.mark = a.now
	l.repeats = min(l.repeats+1, stuckRepeats)
	after := uint32(stuckAfter)
	switch {
	case l.early:
		after = soonAfter
	case bits.OnesCount32(l.watched) > parallel:
		after = slowAfter
	}
	if l.repeats >= stuckRepeats && a.now-l.since >= after {
		l.avoid, l.early = a.origin, false
		l.enter(trial, Next, a, patience)
	}
	return None
}

// stepTrial looks for blobs of the stuck image that were never requested at the nearest: a request for one means that
// some machine has downloaded other blobs. Only that image is sent past the nearest.
func (l *line) stepTrial(a *ask) Event {
	if a.repo != l.watch || a.kind == nothing {
		return None
	}
	if l.watched&a.bit() == 0 {
		l.watched |= a.bit()
		l.fresh++
	}
	if l.fresh >= trialBlobs {
		l.state, l.second = held, true
		l.until = a.now + hold<<l.proofs
		l.proofs, l.trials = min(l.proofs+1, maxProofs), 0
		return Blocked
	}
	l.repeats = min(l.repeats, trialAsks) + 1
	if l.repeats <= trialAsks || a.now-l.since < trialTime {
		return None
	}
	if l.level == Next {
		l.enter(trial, Upstream, a, patience)
		return None
	}
	return l.untold(a)
}

// untold ends a trial that proved nothing: the image was too small, or its machines were done.
func (l *line) untold(a *ask) Event {
	if l.trials++; l.trials < maxTrials || l.proofs > 0 {
		l.enter(shared, Nearest, a, verdict)
		return None
	}
	l.enter(settled, Nearest, a, verdict)
	return Stuck
}

// enter begins a state. The request that led to it is the first one that is answered there.
func (l *line) enter(s state, to Level, a *ask, lasts uint32) {
	l.state, l.level = s, to
	l.since, l.until = a.now, a.now+lasts
	l.repeats, l.given, l.run, l.probe, l.second = 0, [pulls]uint8{}, 0, 0, false
	if s == trial {
		l.fresh = 0
		return // what was requested at the nearest stays known
	}
	if s == shared {
		// Machines that got some blobs of this image elsewhere ask for the others: that is no progress here.
		l.nearRepo, l.watch = a.repo, 0
	}
	clear(l.seen[:])
	l.note(a)
}

// expired ends a verdict, or has the nearest tested after a hold. ended means that the nearest answers.
func (l *line) expired(a *ask) (ended bool) {
	switch {
	case l.state == trial:
		l.untold(a)
		return false
	case l.state != held:
		*l = line{used: l.used} // nothing was proven, so the nearest gets another chance
	case l.second:
		// One blob proves nothing about many machines; only their progress does.
		l.enter(shared, Nearest, a, verdict)
		return true
	case a.kind != blobAsked:
	case l.probe == 0:
		l.probe, l.mark = a.key|eraBits, a.now
		return true
	case l.probe == a.key|eraBits:
		// The pull that failed also asks for its other blobs again.
		l.enter(held, l.level, a, hold)
	case a.now-l.mark >= tested:
		*l = line{used: l.used}
	}
	return false
}

// nearWorked reports whether the nearest delivered something shortly before the address left it.
func (l *line) nearWorked() bool { return l.worked != 0 && l.since-l.worked <= Window }

// pull makes repo the repository of the last request.
func (l *line) pull(repo uint16) {
	i := slices.Index(l.repos[:], repo)
	given := uint8(0)
	if i >= 0 {
		given = l.given[i]
	} else {
		i = pulls - 1
	}
	if i > 0 {
		copy(l.repos[1:i+1], l.repos[:i])
		copy(l.given[1:i+1], l.given[:i])
		clear(l.seen[blobSlots:])
		l.mine, l.run = 0, 0
	}
	l.repos[0], l.given[0] = repo, given
}
