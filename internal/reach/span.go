package reach

import (
	"strconv"
	"strings"
)

// Span is the part of a blob that a request asks for. The zero Span is the complete blob.
type Span struct {
	// Kind says which of the other fields count.
	Kind SpanKind
	// First is the first byte, Last the last one. A [Scattered] span with a First asks for the rest from there, too.
	First, Last int64
	// Count is how many bytes a [Scattered] span asks for, beside that rest.
	Count int64
}

// SpanKind is the form of a Range header.
type SpanKind uint8

// The kinds.
const (
	Whole     SpanKind = iota // no Range header
	Open                      // bytes=N-
	Closed                    // bytes=N-M
	Scattered                 // the last N bytes, or several ranges: not significant
	Other                     // a server ignores it and answers with the complete blob: not significant
)

// smallest is the shortest closed range whose repetition counts as a failed download. Lazy snapshotters and format
// probes read the same few bytes again and again.
const smallest = 64 << 10

// ParseSpan reads the values of a Range header (RFC 9110 §14.1.2).
func ParseSpan(values []string) Span {
	if len(values) == 0 {
		return Span{}
	}
	unit, specs, ok := strings.Cut(values[0], "=")
	if len(values) > 1 || !ok || !strings.EqualFold(unit, "bytes") {
		return Span{Kind: Other}
	}
	var all Span
	several := false
	for spec := range strings.SplitSeq(specs, ",") {
		one := parseOne(strings.Trim(spec, " \t"))
		several = several || all != Span{}
		switch {
		case one.Kind == Other:
			return Span{Kind: Other}
		case several:
			all = all.and(one)
		default:
			all = one
		}
	}
	return all
}

func parseOne(spec string) Span {
	first, last, dash := strings.Cut(spec, "-")
	from, isFrom := position(first)
	to, isTo := position(last)
	switch {
	case dash && isFrom && last == "":
		return Span{Kind: Open, First: from}
	case dash && isFrom && isTo && from <= to:
		return Span{Kind: Closed, First: from, Last: to}
	case dash && first == "" && isTo:
		return Span{Kind: Scattered, Count: to}
	}
	return Span{Kind: Other}
}

// and returns the span that asks for the bytes of both.
func (s Span) and(o Span) Span {
	out := Span{Kind: Scattered, Count: min(s.count()+o.count(), most)}
	for _, one := range []Span{s, o} {
		if one.Kind != Closed && one.First > 0 && (out.First == 0 || one.First < out.First) {
			out.First = one.First
		}
	}
	return out
}

// count returns how many bytes a span asks for, beside the rest from a First.
func (s Span) count() int64 {
	switch {
	case s.Kind == Closed:
		return s.Last - s.First + 1
	case s.Kind == Open && s.First == 0:
		return most
	}
	return s.Count
}

// String returns the span as a Range header has it, without its unit; "" for [Whole]. Of several ranges, and of a header
// that servers ignore, it says only that.
func (s Span) String() string {
	switch s.Kind {
	case Open:
		return strconv.FormatInt(s.First, 10) + "-"
	case Closed:
		return strconv.FormatInt(s.First, 10) + "-" + strconv.FormatInt(s.Last, 10)
	case Scattered:
		return "scattered"
	case Other:
		return "ignored"
	case Whole:
	}
	return ""
}

// most is larger than any blob. What the code adds to it does not overflow.
const most = 1e18

// position parses a byte position, at most [most].
func position(s string) (int64, bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' { // ParseInt would accept signs
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > most {
		return most, s != ""
	}
	return n, true
}

// Bytes returns how many bytes of a blob of size bytes a span asks for; 0 when the size is unknown. An open span does
// not count by itself: see [Answer.Rest].
func (s Span) Bytes(size int64) int64 {
	switch {
	case size <= 0:
		return 0
	case s.Kind == Whole || s.Kind == Other || s.Kind == Open && s.First == 0:
		return size
	case s.Kind == Scattered && s.First > 0:
		return min(s.Count+max(0, size-s.First), size)
	case s.Kind == Scattered:
		return min(s.Count, size)
	case s.Kind == Closed && s.First < size:
		return min(s.Last, size-1) - s.First + 1
	default:
		return 0
	}
}
