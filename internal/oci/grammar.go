package oci

// This file has hand-written scanners for the specification's patterns, because a regular expression costs several
// times as much as a complete routing decision. The tests compare each scanner with the pattern itself as a regular
// expression.

const (
	// MaxName is the longest repository name that is accepted.
	MaxName = 255
	// MaxTag is the length of the longest tag that the specification allows.
	MaxTag = 128
)

// class is a set of byte classes.
type class uint8

const (
	classLower   class = 1 << iota // [a-z0-9]
	classHex                       // [0-9a-f]
	classTag                       // [A-Za-z0-9._-]
	classWord                      // [A-Za-z0-9_], the first byte of a tag
	classEncoded                   // [A-Za-z0-9=_-], the encoded part of a digest
	classMedia                     // RFC 6838 restricted-name-chars
	classAlnum                     // [A-Za-z0-9], the first byte of both parts of a media type
)

var classes = func() (t [256]class) {
	add := func(c class, bytes string) {
		for i := range len(bytes) {
			t[bytes[i]] |= c
		}
	}
	const digits, lower, upper = "0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	add(classLower, digits+lower)
	add(classHex, digits+"abcdef")
	add(classTag, digits+lower+upper+"._-")
	add(classWord, digits+lower+upper+"_")
	add(classEncoded, digits+lower+upper+"=_-")
	add(classMedia, digits+lower+upper+"!#$&-^_.+")
	add(classAlnum, digits+lower+upper)
	return t
}()

func is(b byte, c class) bool { return classes[b]&c != 0 }

func all(s string, c class) bool {
	for i := range len(s) {
		if classes[s[i]]&c == 0 {
			return false
		}
	}
	return true
}

// ValidName reports whether s is a repository name: at most [MaxName] bytes of
//
//	component  = alnum *( separator alnum )      alnum = 1*( [a-z0-9] )
//	separator  = "." / "_" / "__" / 1*"-"
//	name       = component *( "/" component )
func ValidName(s string) bool {
	if len(s) > MaxName {
		return false
	}
	for i := 0; ; i++ { // one alphanumeric run and the separator after it
		start := i
		for i < len(s) && is(s[i], classLower) {
			i++
		}
		if i == start {
			return false
		}
		if i == len(s) {
			return true
		}
		switch s[i] {
		case '.', '/':
		case '_':
			if i+1 < len(s) && s[i+1] == '_' {
				i++
			}
		case '-':
			for i+1 < len(s) && s[i+1] == '-' {
				i++
			}
		default:
			return false
		}
	}
}

// ValidTag reports whether s is a tag: [A-Za-z0-9_][A-Za-z0-9._-]{0,127}.
func ValidTag(s string) bool {
	return s != "" && len(s) <= MaxTag && is(s[0], classWord) && all(s[1:], classTag)
}
