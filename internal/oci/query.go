package oci

import (
	"net/url"
	"strconv"
	"strings"
)

// maxMediaPart is the maximum length of each half of a media type (RFC 6838 §4.2).
const maxMediaPart = 127

// bitsOfN limits n to 2147483647, which fits the integers of every registry.
const bitsOfN = 31

// tagsQuery reads n and last. An invalid page is an error: if it were dropped, a client that follows pages would read
// the first page forever.
func tagsQuery(r Request, rawQuery string) (Request, error) {
	r.N = -1
	if rawQuery == "" {
		return r, nil
	}
	n, okN := value(rawQuery, "n")
	if !okN {
		return Request{}, ErrNumberInvalid
	}
	if n != "" {
		number, err := strconv.ParseUint(n, 10, bitsOfN) // accepts digits only: no sign, no underscore
		if err != nil {
			return Request{}, ErrNumberInvalid
		}
		r.N = int(number)
	}
	last, okLast := value(rawQuery, "last")
	if !okLast || !escaped(rawQuery) {
		return Request{}, ErrQueryInvalid
	}
	r, ok := r.Page(r.N, last)
	if !ok {
		return Request{}, ErrLastInvalid
	}
	return r, nil
}

// Page returns r for another page of the same tag list. The page has at most n tags, or no limit when n is -1. It
// begins after the pagination marker last, or at the beginning when last is "". ok is false when last is not a valid
// marker.
func (r Request) Page(n int, last string) (page Request, ok bool) {
	if !validMarker(last) {
		return Request{}, false
	}
	r.N, r.Last, r.Query = n, last, ""
	if n >= 0 {
		r.Query = "n=" + strconv.Itoa(n)
	}
	if last != "" {
		if r.Query != "" {
			r.Query += "&"
		}
		r.Query += "last=" + strings.ReplaceAll(url.QueryEscape(last), "+", "%20")
	}
	return r, true
}

// NextPage returns the page that the target of an upstream's link asks for. It uses the target's last, and its n when
// that is a number above zero. It ignores everything else in the target. ok is false when the target has no last.
func (r Request) NextPage(rawQuery string) (page Request, ok bool) {
	last, ok := value(rawQuery, "last")
	if !ok || last == "" {
		return Request{}, false
	}
	most := -1
	if n, ok := value(rawQuery, "n"); ok {
		if number, err := strconv.ParseUint(n, 10, bitsOfN); err == nil && number > 0 {
			most = int(number)
		}
	}
	return r.Page(most, last)
}

// escaped reports whether all escapes of a query are well formed. The meaning of a malformed one is unknown.
func escaped(rawQuery string) bool {
	_, err := url.PathUnescape(rawQuery)
	return err == nil
}

// maxMarker is the maximum length of a pagination marker, in bytes. An escaped marker is up to three times as long,
// which is less than the 8 KiB that every server accepts.
const maxMarker = 2048

// validMarker accepts everything except control characters. The specification expects a tag, but registries use tokens
// of their own. If those were refused, a list would end half way.
func validMarker(s string) bool {
	if len(s) > maxMarker {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// referrersQuery reads artifactType. It drops a value that is not a media type. The unfiltered list is a correct answer
// then, because clients must filter themselves when the answer does not say OCI-Filters-Applied.
func referrersQuery(r Request, rawQuery string) (Request, error) {
	if !escaped(rawQuery) {
		return Request{}, ErrQueryInvalid
	}
	if artifactType, _ := value(rawQuery, "artifactType"); validMediaType(artifactType) {
		r.Query = "artifactType=" + url.QueryEscape(artifactType)
	}
	return r, nil
}

// value returns the first value of key, unescaped, or "" if there is none. ok is false when the value cannot be
// unescaped. '+' stays '+': no value here has a space, and clients that forget to escape it mean the '+' of
// "application/vnd.example+json".
func value(rawQuery, key string) (v string, ok bool) {
	for pair := range strings.SplitSeq(rawQuery, "&") {
		k, v, _ := strings.Cut(pair, "=")
		if k, err := url.PathUnescape(k); err != nil || k != key {
			continue
		}
		v, err := url.PathUnescape(v)
		return v, err == nil
	}
	return "", true
}

// validMediaType reports whether s is type "/" subtype, of RFC 6838 §4.2 restricted names, without parameters.
func validMediaType(s string) bool {
	kind, subtype, ok := strings.Cut(s, "/")
	return ok && restrictedName(kind) && restrictedName(subtype)
}

func restrictedName(s string) bool {
	return s != "" && len(s) <= maxMediaPart && is(s[0], classAlnum) && all(s, classMedia)
}
