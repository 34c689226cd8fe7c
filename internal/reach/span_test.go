package reach

import (
	"math"
	"testing"
)

func TestParseSpan(t *testing.T) {
	for _, tt := range []struct {
		values []string
		want   Span
	}{
		{nil, Span{}},
		{[]string{"bytes=0-"}, Span{Kind: Open}},
		{[]string{"bytes=17-"}, Span{Kind: Open, First: 17}},
		{[]string{"Bytes= 17-20 "}, Span{Kind: Closed, First: 17, Last: 20}},
		{[]string{"bytes=5-5"}, Span{Kind: Closed, First: 5, Last: 5}},
		{[]string{"bytes=5-4"}, Span{Kind: Other}},
		{[]string{"bytes=-500"}, Span{Kind: Scattered, Count: 500}},
		{[]string{"bytes=0-1,5-9"}, Span{Kind: Scattered, Count: 7}},
		{[]string{"bytes=0-1, -9,5-5"}, Span{Kind: Scattered, Count: 12}},
		{[]string{"bytes=0-1,5-"}, Span{Kind: Scattered, Count: 2, First: 5}},
		{[]string{"bytes=5-,0-1"}, Span{Kind: Scattered, Count: 2, First: 5}},
		{[]string{"bytes=9-,0-1,5-,-3"}, Span{Kind: Scattered, Count: 5, First: 5}},
		{[]string{"bytes=0-,-5"}, Span{Kind: Scattered, Count: most}},
		{[]string{"bytes=0-1,"}, Span{Kind: Other}},
		{[]string{"bytes=-"}, Span{Kind: Other}},
		{[]string{"bytes=--5"}, Span{Kind: Other}},
		{[]string{"bytes=0-1", "bytes=2-3"}, Span{Kind: Other}},
		{[]string{"bytes=+1-"}, Span{Kind: Other}},
		{[]string{"bytes=1-+2"}, Span{Kind: Other}},
		{[]string{"bytes=99999999999999999999-"}, Span{Kind: Open, First: most}},
		{[]string{"bytes=0-9223372036854775807"}, Span{Kind: Closed, Last: most}},
		{[]string{"bytes=0000000000000000000000007-"}, Span{Kind: Open, First: 7}},
		{[]string{"bytes"}, Span{Kind: Other}},
		{[]string{""}, Span{Kind: Other}},
		{[]string{"lines=1-2"}, Span{Kind: Other}},
	} {
		if got := ParseSpan(tt.values); got != tt.want {
			t.Errorf("%q: %+v, want %+v", tt.values, got, tt.want)
		}
	}
}

func TestBytesOfASpan(t *testing.T) {
	const size = 1000
	for header, want := range map[string]int64{
		"bytes=0-": size, "bytes=0-99": 100, "bytes=900-1999": 100, "bytes=1000-1999": 0, "bytes=0-9223372036854775807": size,
		"bytes=-10": 10, "bytes=-5000": size, "bytes=0-9,20-29": 20, "bytes=9-3": size, "lines=1-2": size, "bytes=5-": 0,
		"bytes=-0": 0, "bytes=0-9,900-": 110, "bytes=0-9,5000-": 10, "bytes=0-,-5": size, "bytes=0-899,900-,-50": size,
	} {
		if got := ParseSpan([]string{header}).Bytes(size); got != want {
			t.Errorf("%s: %d bytes, want %d", header, got, want)
		}
	}
}

func TestSpanAsText(t *testing.T) {
	for header, want := range map[string]string{
		"bytes=0-": "0-", "bytes=17-": "17-", "bytes=007-9": "7-9", "bytes=-500": "scattered", "bytes=0-1,5-": "scattered", "lines=1-2": "ignored",
	} {
		if got := ParseSpan([]string{header}).String(); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	if got := (Span{}).String(); got != "" {
		t.Errorf("no header: %q", got)
	}
}

// Whatever a client sends, the count of bytes is never more than the blob has, and never negative.
func FuzzParseSpan(f *testing.F) {
	for _, v := range []string{"bytes=0-", "bytes=5-9", "bytes=-5", "bytes=0-1,2-3", "bytes=999999999999999999-", "x"} {
		f.Add(v, int64(1000))
	}
	f.Fuzz(func(t *testing.T, v string, size int64) {
		s := ParseSpan([]string{v})
		if s.First < 0 || s.Last < 0 || s.Kind == Closed && s.Last < s.First || s.Kind == Whole {
			t.Errorf("%q: %+v", v, s)
		}
		if n := s.Bytes(size); n < 0 || n > max(0, size) {
			t.Errorf("%q of %d bytes: %d", v, size, n)
		}
		_ = s.Bytes(math.MaxInt64)
	})
}
