package transfer

import "math/bits"

// maxTargets bounds the targets of one engine, so that a [Set] has a fixed size.
const maxTargets = 256

// Set is a set of targets, by index into [Options.Targets]. The zero value is empty. An inventory's set converts to it.
type Set [maxTargets / 64]uint64

// SetOf returns the set of these targets.
func SetOf(targets ...int) (s Set) {
	for _, i := range targets {
		s.Add(i)
	}
	return s
}

// Add puts target i into the set.
func (s *Set) Add(i int) { s[i>>6] |= 1 << (i & 63) }

// Has reports whether target i is in the set.
func (s *Set) Has(i int) bool { return s[i>>6]&(1<<(i&63)) != 0 }

// Len counts the members.
func (s *Set) Len() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// Each calls f with every member, lowest first.
func (s *Set) Each(f func(i int)) {
	for w, word := range s {
		for ; word != 0; word &= word - 1 {
			f(w<<6 + bits.TrailingZeros64(word))
		}
	}
}

// or puts the members of o into the set.
func (s *Set) or(o Set) {
	for i := range s {
		s[i] |= o[i]
	}
}
