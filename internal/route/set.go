package route

import "math/bits"

// MaxCandidates bounds the stores and upstreams of one configuration, so that a [Set] has a fixed size.
const MaxCandidates = 256

// Set is a set of candidates, by index into [Snapshot.Candidates]. The zero value is empty.
type Set [MaxCandidates / 64]uint64

// Add puts candidate i into the set.
func (s *Set) Add(i int) { s[i>>6] |= 1 << (i & 63) }

// Remove takes candidate i out of the set.
func (s *Set) Remove(i int) { s[i>>6] &^= 1 << (i & 63) }

// Has reports whether candidate i is in the set.
func (s *Set) Has(i int) bool { return s[i>>6]&(1<<(i&63)) != 0 }

// Empty reports whether nothing is in the set.
func (s *Set) Empty() bool { return *s == Set{} }

// Len counts the members.
func (s *Set) Len() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// RemoveAll takes the members of other out.
func (s *Set) RemoveAll(other Set) {
	for i := range s {
		s[i] &^= other[i]
	}
}

// Keep takes out what is not in other.
func (s *Set) Keep(other Set) {
	for i := range s {
		s[i] &= other[i]
	}
}

// Each calls f with every member, lowest index first.
func (s *Set) Each(f func(i int)) {
	for w, word := range s {
		for word != 0 {
			f(w<<6 + bits.TrailingZeros64(word))
			word &= word - 1
		}
	}
}

// FullSet returns the set of candidates 0 to n-1.
func FullSet(n int) Set {
	var s Set
	for i := range n {
		s.Add(i)
	}
	return s
}
