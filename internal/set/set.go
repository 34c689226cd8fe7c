package set

import "math/bits"

// Max is the number of possible members: a set holds numbers from 0 to Max-1. All methods panic on other numbers.
const Max = 256

// Set is a set of numbers. The zero value is empty. Two sets are equal when they have the same members. Like an
// array, a Set is not safe for concurrent use.
type Set [Max / 64]uint64

// Of returns the set of the given numbers.
func Of(members ...int) (s Set) {
	for _, i := range members {
		s.Add(i)
	}
	return s
}

// Full returns the set of 0 to n-1.
func Full(n int) (s Set) {
	for i := range n {
		s.Add(i)
	}
	return s
}

// Add puts i into the set.
func (s *Set) Add(i int) { s[i>>6] |= 1 << (i & 63) }

// Remove removes i from the set.
func (s *Set) Remove(i int) { s[i>>6] &^= 1 << (i & 63) }

// Has reports whether i is in the set.
func (s *Set) Has(i int) bool { return s[i>>6]&(1<<(i&63)) != 0 }

// Empty reports whether the set has no members.
func (s *Set) Empty() bool { return *s == Set{} }

// Len returns the number of members.
func (s *Set) Len() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// Each calls f with every member, lowest first. f may remove the member that it gets.
func (s *Set) Each(f func(i int)) {
	for w, word := range s {
		for ; word != 0; word &= word - 1 {
			f(w<<6 + bits.TrailingZeros64(word))
		}
	}
}

// Or adds the members of o.
func (s *Set) Or(o *Set) {
	for i := range s {
		s[i] |= o[i]
	}
}

// And removes the members that are not in o.
func (s *Set) And(o *Set) {
	for i := range s {
		s[i] &= o[i]
	}
}

// AndNot removes the members of o.
func (s *Set) AndNot(o *Set) {
	for i := range s {
		s[i] &^= o[i]
	}
}

// Meets reports whether s and o have a member in common.
func (s *Set) Meets(o *Set) bool { return s[0]&o[0]|s[1]&o[1]|s[2]&o[2]|s[3]&o[3] != 0 }
