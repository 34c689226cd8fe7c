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
// it dropped, a client that follows pages would read the first one forever.
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
		number, err := strconv.ParseUint(n, 10, bitsOfN) // takes digits only: no sign, no underscore
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

// Page is r for another page of the same tag list: at most n tags, -1 for no limit, after the pagination marker last, "" for
// the first. ok is false when last is no marker.
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

// NextPage is the page that the target of an upstream's link asks for, by its last and, when that is a number above zero, its n.
// Whatever else is in it is the upstream's business. ok is false when it has no last.
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

// escaped reports whether all escapes of a query are well formed. What another one means is anybody's guess.
func escaped(rawQuery string) bool {
	_, err := url.PathUnescape(rawQuery)
	return err == nil
}

// maxMarker bounds a pagination marker, in bytes. Escaped it is three times as long: less than the 8 KiB that servers take
// at least.
const maxMarker = 2048

// validMarker: anything but control characters. The specification means a tag, but registries page with tokens of their own,
// and refusing those would end a list half way.
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

// referrersQuery takes artifactType. One that is no media type is dropped: the
// unfiltered list is a correct answer, since clients must filter themselves
// when the answer does not say OCI-Filters-Applied.
func referrersQuery(r Request, rawQuery string) (Request, error) {
	if !escaped(rawQuery) {
		return Request{}, ErrQueryInvalid
	}
	if artifactType, _ := value(rawQuery, "artifactType"); validMediaType(artifactType) {
		r.Query = "artifactType=" + url.QueryEscape(artifactType)
	}
	return r, nil
}

// value returns the first value of key, unescaped, or "" if there is none; ok is false when it cannot be unescaped. '+' stays
// '+': no value here has a space, and clients that forget to escape mean the '+' of "application/vnd.example+json".
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

// validMediaType: type "/" subtype of RFC 6838 §4.2 restricted names, without
// parameters.
func validMediaType(s string) bool {
	kind, subtype, ok := strings.Cut(s, "/")
	return ok && restrictedName(kind) && restrictedName(subtype)
}

func restrictedName(s string) bool {
	return s != "" && len(s) <= maxMediaPart && is(s[0], classAlnum) && all(s, classMedia)
}
