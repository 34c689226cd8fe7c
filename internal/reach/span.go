package reach

import (
	"strconv"
	"strings"
)

// Span is the part of a blob that a request asks for. The zero Span is the whole.
type Span struct {
	// Kind says which of the other fields count.
	Kind SpanKind
	// First is the first byte, Last the last one.
	First, Last int64
}

// SpanKind is the form of a Range header.
type SpanKind uint8

// The kinds.
const (
	Whole  SpanKind = iota // no Range header
	Open                   // bytes=N-
	Closed                 // bytes=N-M
	Other                  // a suffix, several ranges, or what a server ignores: tells nothing
)

// smallest is the shortest closed range whose repetition is taken for a failed download. Lazy snapshotters and
// format probes read the same few bytes again and again.
const smallest = 64 << 10

// ParseSpan reads the values of a Range header (RFC 9110 §14.1.2).
func ParseSpan(values []string) Span {
	if len(values) == 0 {
		return Span{}
	}
	if len(values) > 1 {
		return Span{Kind: Other}
	}
	unit, spec, ok := strings.Cut(values[0], "=")
	first, last, dash := strings.Cut(strings.Trim(spec, " \t"), "-")
	if !ok || !dash || !strings.EqualFold(unit, "bytes") {
		return Span{Kind: Other}
	}
	from, ok := position(first)
	if !ok {
		return Span{Kind: Other}
	}
	if last == "" {
		return Span{Kind: Open, First: from}
	}
	to, ok := position(last)
	if !ok || to < from {
		return Span{Kind: Other}
	}
	return Span{Kind: Closed, First: from, Last: to}
}

// position is a byte position of at most 18 digits: no blob is larger, and it cannot overflow.
func position(s string) (int64, bool) {
	if len(s) == 0 || len(s) > 18 || s[0] < '0' || s[0] > '9' { // ParseInt takes signs
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// Bytes is how many bytes of a blob of size bytes a closed span or the whole asks for; 0 for others and for a
// size that is not known. An open span is not counted by itself: see [Answer.Rest].
func (s Span) Bytes(size int64) int64 {
	switch {
	case size <= 0:
		return 0
	case s.Kind == Whole || s.Kind == Open && s.First == 0:
		return size
	case s.Kind == Closed && s.First < size:
		return min(s.Last, size-1) - s.First + 1
	default:
		return 0
	}
}
