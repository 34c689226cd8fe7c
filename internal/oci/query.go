package oci

import (
	"net/url"
	"strconv"
	"strings"
)

// maxMediaPart is how long each half of a media type may be (RFC 6838 §4.2).
const maxMediaPart = 127

// bitsOfN bounds n to 2147483647, which fits every registry's integer.
const bitsOfN = 31

// tagsQuery takes n and last. A page that cannot be asked for is an error: were
// it dropped, a client that follows pages would read the first one for ever.
func tagsQuery(r Request, rawQuery string) (Request, error) {
	r.N = -1
	if rawQuery == "" {
		return r, nil
	}
	if n := value(rawQuery, "n"); n != "" {
		number, err := strconv.ParseUint(n, 10, bitsOfN) // takes digits only: no sign, no underscore
		if err != nil {
			return Request{}, ErrNumberInvalid
		}
		r.N = int(number)
		r.Query = "n=" + strconv.Itoa(r.N)
	}
	if last := value(rawQuery, "last"); last != "" {
		if !validMarker(last) {
			return Request{}, ErrLastInvalid
		}
		r.Last = last
		if r.Query != "" {
			r.Query += "&"
		}
		r.Query += "last=" + url.QueryEscape(last)
	}
	return r, nil
}

// maxMarker bounds a pagination marker, escaped thrice over still below 2 KiB with the rest of the query.
const maxMarker = 512

// validMarker: printable ASCII. The specification means a tag, but registries page with tokens of their own,
// and refusing those would end a list half way.
func validMarker(s string) bool {
	if len(s) > maxMarker {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// referrersQuery takes artifactType. One that is no media type is dropped: the
// unfiltered list is a correct answer, since clients must filter themselves
// when the answer does not say OCI-Filters-Applied.
func referrersQuery(rawQuery string) string {
	if rawQuery == "" {
		return ""
	}
	artifactType := value(rawQuery, "artifactType")
	if !validMediaType(artifactType) {
		return ""
	}
	return "artifactType=" + url.QueryEscape(artifactType)
}

// value returns the first value of key, unescaped, or "" if there is none. A bad
// escape is left as it is, for its '%' is valid nowhere. '+' stays '+': no value here has a space, and clients that
// forget to escape mean the '+' of "application/vnd.example+json".
func value(rawQuery, key string) string {
	for pair := range strings.SplitSeq(rawQuery, "&") {
		k, v, _ := strings.Cut(pair, "=")
		if k != key {
			continue
		}
		if unescaped, err := url.PathUnescape(v); err == nil {
			return unescaped
		}
		return v
	}
	return ""
}

// validMediaType: type "/" subtype of RFC 6838 §4.2 restricted names, without
// parameters.
func validMediaType(s string) bool {
	kind, subtype, ok := strings.Cut(s, "/")
	return ok && restrictedName(kind) && restrictedName(subtype)
}

func restrictedName(s string) bool {
	return s != "" && len(s) <= maxMediaPart && is(s[0], classAlnum) && all(s, classMedia)
}
