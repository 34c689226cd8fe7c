package inventory

import "math/bits"

// MaxStores bounds the stores of one table.
const MaxStores = 256

// Set is a set of stores by index. The zero value is empty. It converts to any other type of the same shape.
type Set [MaxStores / 64]uint64

// Add puts store i into the set.
func (s *Set) Add(i int) { s[i>>6] |= 1 << (i & 63) }

// Remove takes store i out of the set.
func (s *Set) Remove(i int) { s[i>>6] &^= 1 << (i & 63) }

// Has reports whether store i is in the set.
func (s *Set) Has(i int) bool { return s[i>>6]&(1<<(i&63)) != 0 }

// Empty reports whether nothing is in the set.
func (s *Set) Empty() bool { return *s == Set{} }

// Each calls f with every member, lowest first.
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

// AndNot takes the members of o out.
func (s *Set) AndNot(o *Set) {
	for i := range s {
		s[i] &^= o[i]
	}
}

func (s *Set) meets(o *Set) bool {
	return s[0]&o[0]|s[1]&o[1]|s[2]&o[2]|s[3]&o[3] != 0
}

// remap returns the set with every member i replaced by to[i]; members whose new index is negative are left out.
func (s *Set) remap(to *[MaxStores]int16) (out Set) {
	s.Each(func(i int) {
		if to[i] >= 0 {
			out.Add(int(to[i]))
		}
	})
	return out
}
