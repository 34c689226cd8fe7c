package check

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"ociproxy/internal/oci"
	"ociproxy/internal/outbound"
)

// blob is a layer or image config that exists, with the values that its manifest gives.
type blob struct {
	digest oci.Digest
	size   int64
}

func (b blob) String() string {
	hex := b.digest.Hex()
	return fmt.Sprintf("%s:%s… (%s)", b.digest.Algorithm(), hex[:min(12, len(hex))], size(b.size))
}

func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// sum returns the digest of body with the algorithm of want, or with sha256 when that algorithm is unknown.
func sum(want oci.Digest, body []byte) oci.Digest {
	if !want.InStores() {
		return oci.Sum("sha256", body)
	}
	return oci.Sum(want.Algorithm(), body)
}

const (
	hintEncoding = "turn off compression for these objects (Cache-Control: no-transform, no Content-Encoding): the bytes must be those the digest names"
	hintBytes    = "the object is not what its name says: delete it and mirror it again"
	hintLength   = "send Content-Length: clients resume by it and the proxy counts by it"
	hintRange    = "answer ranges as RFC 9110 section 14 says: runtimes resume broken pulls with bytes=N-, and health probes ask for ranges"
	hintEndBreak = "distribution 2.x answers so: its 416 keeps the blob's Content-Length. A client that resumes a finished download loses its connection and asks again; distribution 3 does not do it"
	hintCache    = "set Cache-Control: public, max-age=31536000, immutable, no-transform on the objects"
	hintMissing  = "403 may mean a private bucket or an object that is not there: allow anonymous reads, and mirror the image first"
	hintURL      = "check bucket, path and {digest} in the URL"
	hintMirror   = "mirror the image into this store, or name an image with --image that it holds"
)

// whole judges the answer to a GET of the complete b.
func whole(ans answer, b blob) verdict {
	if v, bad := trouble(ans); bad {
		return v
	}
	if ans.status != http.StatusOK {
		return verdict{Failed, fmt.Sprintf("%d for %s, want 200", ans.status, b), missing(ans.status)}
	}
	if v, bad := headers(ans, b); bad {
		return v
	}
	if ans.truncated || int64(len(ans.body)) != b.size {
		return verdict{Failed, fmt.Sprintf("%d bytes came for %s", len(ans.body), b), hintBytes}
	}
	if got := sum(b.digest, ans.body); got != b.digest {
		return verdict{Failed, fmt.Sprintf("the bytes of %s hash to %.19s…", b, got), hintBytes}
	}
	if ans.length < 0 {
		return verdict{Warning, "no Content-Length for " + b.String(), hintLength}
	}
	return ok("%s, digest verified", b)
}

// head judges the answer to a HEAD of b.
func head(ans answer, b blob) verdict {
	if v, bad := trouble(ans); bad {
		return v
	}
	if ans.status != http.StatusOK {
		return verdict{Failed, fmt.Sprintf("HEAD answers %d for %s, want 200", ans.status, b), missing(ans.status)}
	}
	if v, bad := headers(ans, b); bad {
		return v
	}
	if ans.length < 0 {
		return verdict{Warning, "no Content-Length for " + b.String(), hintLength}
	}
	return ok("%s", b)
}

// missing returns advice on a blob that should exist but is not served.
func missing(status int) string {
	switch status {
	case http.StatusForbidden:
		return hintMissing
	case http.StatusNotFound:
		return hintMirror
	}
	return hintURL
}

// headers judges the headers that every 200 for b must have.
func headers(ans answer, b blob) (verdict, bool) {
	if enc := outbound.Encoding(ans.header); enc != "" {
		return verdict{Failed, fmt.Sprintf("Content-Encoding: %s", enc), hintEncoding}, true
	}
	if ans.length >= 0 && ans.length != b.size {
		return verdict{Failed, fmt.Sprintf("Content-Length %d for a blob of %d bytes", ans.length, b.size), hintBytes}, true
	}
	return verdict{}, false
}

// caching judges the Cache-Control header of a 200.
func caching(ans answer) verdict {
	cc := ans.header.Get("Cache-Control")
	lower := strings.ToLower(cc)
	switch {
	case cc == "":
		return verdict{Warning, "no Cache-Control", hintCache}
	case strings.Contains(lower, "no-store"), strings.Contains(lower, "private"), strings.Contains(lower, "no-cache"):
		return verdict{Warning, "Cache-Control: " + cc, hintCache}
	}
	return ok("%s", cc)
}

// span is a requested range of bytes: [from, to], both counted from 0.
type span struct{ from, to int64 }

// header returns the Range header. It is open-ended, as runtimes write it when they resume, if open is true.
func (s span) header(open bool) string {
	if open {
		return "bytes=" + strconv.FormatInt(s.from, 10) + "-"
	}
	return fmt.Sprintf("bytes=%d-%d", s.from, s.to)
}

// ranged judges the answer to one range of b. content is the complete b when it is known, otherwise nil.
func ranged(ans answer, b blob, s span, content []byte) verdict {
	if v, bad := trouble(ans); bad {
		return v
	}
	bad := func(format string, args ...any) verdict {
		return verdict{Failed, fmt.Sprintf(format, args...), hintRange}
	}
	if ans.status == http.StatusOK {
		return bad("200 to a range request for %s: a resumed pull starts again from the first byte", b)
	}
	if ans.status != http.StatusPartialContent {
		return bad("%d to a range request for %s, want 206", ans.status, b)
	}
	if enc := outbound.Encoding(ans.header); enc != "" {
		return verdict{Failed, fmt.Sprintf("Content-Encoding: %s", enc), hintEncoding}
	}
	want := fmt.Sprintf("bytes %d-%d/%d", s.from, s.to, b.size)
	if got := ans.header.Get("Content-Range"); got != want {
		return bad("Content-Range %q, want %q", got, want)
	}
	if n := s.to - s.from + 1; ans.truncated || int64(len(ans.body)) != n {
		return bad("%d bytes came for a range of %d", len(ans.body), n)
	}
	if content != nil && !bytes.Equal(ans.body, content[s.from:s.to+1]) {
		return bad("the range holds other bytes than the whole blob has there")
	}
	return ok("%s of %s", want, b)
}

// pastEnd judges the answer to a range that begins where the blob ends. Runtimes send such a request when the
// connection broke after the last byte. RFC 9110 section 15.5.17 requires 416.
func pastEnd(ans answer, b blob) verdict {
	if ans.err != nil && ans.status == http.StatusRequestedRangeNotSatisfiable {
		// Distribution before 3.0 keeps the blob's Content-Length in its 416 (Go's http.Error did not remove it before
		// 1.23). The status is correct, and only the connection is lost.
		return verdict{Warning, fmt.Sprintf("416 to a range past the end, with Content-Length %d and another body: %v", ans.length, ans.err), hintEndBreak}
	}
	if v, bad := trouble(ans); bad {
		return v
	}
	switch ans.status {
	case http.StatusRequestedRangeNotSatisfiable:
		return ok("416 to a range past the end")
	case http.StatusOK:
		return verdict{Info, "200 to a range past the end (416 is usual)", ""}
	}
	return verdict{Warning, fmt.Sprintf("%d to a range past the end of %s, want 416", ans.status, b), hintRange}
}

// multi reports on several ranges in one request. No runtime sends such a request, and RFC 9110 lets a server ignore or
// join the ranges, so every legal answer is only information.
func multi(ans answer, b blob) verdict {
	if v, bad := trouble(ans); bad {
		v.result = Warning // S3-like servers may refuse the form: that harms no client of ours
		return v
	}
	info := func(format string, args ...any) verdict { return verdict{Info, fmt.Sprintf(format, args...), ""} }
	kind := strings.ToLower(ans.header.Get("Content-Type"))
	switch {
	case ans.status == http.StatusPartialContent && strings.HasPrefix(kind, "multipart/byteranges"):
		return info("206 multipart: several ranges in one request are supported")
	case ans.status == http.StatusPartialContent && ans.header.Get("Content-Range") != "":
		return info("206 with one range (%s): several ranges in one request are not supported", ans.header.Get("Content-Range"))
	case ans.status == http.StatusOK:
		return info("200 with the whole blob: several ranges in one request are not supported")
	case ans.status == http.StatusRequestedRangeNotSatisfiable, ans.status == http.StatusBadRequest:
		return info("%d: several ranges in one request are refused", ans.status)
	}
	return verdict{Warning, fmt.Sprintf("%d to several ranges of %s, want 206 or 200", ans.status, b), hintRange}
}
