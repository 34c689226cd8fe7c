package oci

import "strings"

// Request is a validated request for content of a registry. Only the fields of its kind are set.
type Request struct {
	Kind   Kind
	Name   string // repository; empty for KindBase
	Tag    string // KindTag
	Digest Digest // KindBlob, KindManifest, KindReferrers

	// Query is the query that may be passed on, re-encoded and without '?': n and last for KindTags, artifactType for
	// KindReferrers, and otherwise empty.
	Query string
	// N and Last select the page for KindTags. N is -1 when the client left it out; 0 is a valid request for an empty
	// list.
	N    int
	Last string
}

// Parse reads the escaped path of a request target (as [net/url.URL.EscapedPath] returns it) and its raw query. The
// error is always an [*Error].
//
// A name may contain any of the words of the grammar ("/v2/a/blobs/blobs/sha256:…" asks for a blob of "a/blobs"), so
// Parse matches the endpoint from the right. "%3A" in the last segment is a colon, because some clients escape it. No
// other escape is ever needed, so Parse refuses all others.
//
// Parse allocates nothing unless an escape or a query has to be re-encoded.
func Parse(escapedPath, rawQuery string) (Request, error) {
	rest, ok := strings.CutPrefix(escapedPath, "/v2")
	if !ok {
		return Request{}, ErrUnsupported
	}
	switch rest {
	case "", "/":
		return Request{Kind: KindBase}, nil
	case "/_catalog":
		return Request{}, ErrCatalog
	}

	// /<name>/<verb>/<last>
	end := strings.LastIndexByte(rest, '/')
	if end <= 0 || rest[0] != '/' {
		return Request{}, ErrUnsupported
	}
	last := rest[end+1:]
	mid := strings.LastIndexByte(rest[:end], '/')
	if mid <= 0 {
		return Request{}, ErrUnsupported
	}
	name, verb := rest[1:mid], rest[mid+1:end]

	switch verb {
	case "blobs", "manifests", "referrers":
	case "tags":
		if last != "list" {
			return Request{}, ErrUnsupported
		}
	default:
		return Request{}, ErrUnsupported
	}
	if !ValidName(name) {
		return Request{}, nameError(name)
	}
	if last, ok = lastSegment(last); !ok {
		return Request{}, ErrUnsupported
	}

	switch verb {
	case "blobs":
		digest, err := ParseDigest(last)
		if err != nil {
			return Request{}, err
		}
		return Request{Kind: KindBlob, Name: name, Digest: digest}, nil
	case "manifests":
		return manifest(name, last)
	case "referrers":
		digest, err := ParseDigest(last)
		if err != nil {
			return Request{}, err
		}
		return referrersQuery(Request{Kind: KindReferrers, Name: name, Digest: digest}, rawQuery)
	}
	return tagsQuery(Request{Kind: KindTags, Name: name}, rawQuery)
}

func manifest(name, reference string) (Request, error) {
	if strings.IndexByte(reference, ':') >= 0 { // no tag has a colon
		digest, err := ParseDigest(reference)
		if err != nil {
			return Request{}, err
		}
		return Request{Kind: KindManifest, Name: name, Digest: digest}, nil
	}
	if !ValidTag(reference) {
		return Request{}, ErrTagInvalid
	}
	return Request{Kind: KindTag, Name: name, Tag: reference}, nil
}

// lastSegment replaces %3A by a colon. It refuses every other escape, and strings that are not a segment.
func lastSegment(s string) (string, bool) {
	if s == "" || s == "." || s == ".." {
		return "", false
	}
	at := strings.IndexByte(s, '%')
	if at < 0 {
		return s, true
	}
	// A digest has one colon, so a second escape is an error anyway.
	if escape := s[at:min(at+3, len(s))]; escape != "%3A" && escape != "%3a" {
		return "", false
	}
	s = s[:at] + ":" + s[at+3:]
	return s, strings.IndexByte(s, '%') < 0
}

// nameError distinguishes a misspelt name, which the client can correct, from an invalid path: escapes, empty segments
// and dot segments are tricks or bugs.
func nameError(name string) *Error {
	if strings.IndexByte(name, '%') >= 0 {
		return ErrUnsupported
	}
	for segment := range strings.SplitSeq(name, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return ErrUnsupported
		}
	}
	return ErrNameInvalid
}

// CanonicalOnly reports whether only the canonical upstream may answer. That is so for lists of referrers, and for the
// tags that stand in for them. When a replica does not have such a list, it looks the same as for an image without
// referrers, so a stale answer would hide a signature.
func (r Request) CanonicalOnly() bool {
	return r.Kind == KindReferrers || r.Kind == KindTag && StandsIn(r.Tag)
}

// StandsIn reports whether a tag stands for a digest: "algorithm-encoded", also with the endings of cosign. This is the
// specification's referrers tag schema, which cuts the encoded part after 64 characters. No list of algorithms is
// complete, so StandsIn also accepts text after a dash that looks like 256 bits: 64 hexadecimal digits, or 43 mixed
// characters of base64. If it is wrong about a tag, the only cost is a longer way to the manifest.
func StandsIn(tag string) bool {
	_, rest, ok := strings.Cut(tag, "-")
	if !ok {
		return false
	}
	if digestFamilies[tag[:strings.IndexAny(tag, "-._")]] {
		return true
	}
	encoded, _, _ := strings.Cut(rest, ".")
	if len(encoded) >= 43 && mixed(encoded) {
		return true
	}
	for rest != "" {
		part, after, _ := strings.Cut(rest, "-")
		part, _, _ = strings.Cut(part, ".")
		if len(part) >= 64 && all(part, classHex) {
			return true
		}
		rest = after
	}
	return false
}

// digestFamilies has the names of hash functions and checksums, without the suffixes of their variants: "sha512_224",
// "blake2b.160".
var digestFamilies = func() map[string]bool {
	names := map[string]bool{}
	for _, name := range strings.Fields(`
		sha1 sha2 sha3 sha224 sha256 sha384 sha512 shake128 shake256 keccak md4 md5 md6 multihash
		blake2 blake2b blake2s blake2bp blake2sp blake3 blake4 ripemd ripemd128 ripemd160 ripemd256 ripemd320
		sm3 whirlpool tiger gost streebog streebog256 streebog512 k12 kangarootwelve skein groestl jh
		crc32 crc32c crc64 crc64nvme adler32 xxh3 xxh32 xxh64 xxh128 xxhash murmur3 siphash highwayhash`) {
		names[name] = true
	}
	return names
}()

// mixed reports whether s has digits and letters of both cases, like random base64.
func mixed(s string) bool {
	const digits, lower, upper = "0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	return strings.ContainsAny(s, digits) && strings.ContainsAny(s, lower) && strings.ContainsAny(s, upper)
}

// endpoints has the part of a path between the name and the digest or tag.
var endpoints = [kinds]string{
	KindBlob: "/blobs/", KindManifest: "/manifests/", KindTag: "/manifests/", KindReferrers: "/referrers/", KindTags: "/tags/list",
}

// AppendPath appends the request's path to b, and puts prefix before the name. prefix is a repository path without
// slashes at its ends, or "". Every byte of the path is safe in a URL path. The query is not part of it.
func (r Request) AppendPath(b []byte, prefix string) []byte {
	b = append(b, "/v2/"...)
	if r.Kind == KindBase {
		return b
	}
	if prefix != "" {
		b = append(b, prefix...)
		b = append(b, '/')
	}
	b = append(b, r.Name...)
	b = append(b, endpoints[r.Kind]...)
	b = append(b, r.Digest.s...) // a request has a digest or a tag, or neither
	return append(b, r.Tag...)
}

// Path returns the canonical form of the request's path.
func (r Request) Path() string { return string(r.AppendPath(nil, "")) }
