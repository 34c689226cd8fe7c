package judge

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"ociproxy/internal/oci"
	"ociproxy/internal/outbound"
)

// Blob is a layer or image config that exists, with the values that its manifest gives.
type Blob struct {
	Digest oci.Digest
	Size   int64
}

func (b Blob) String() string {
	hex := b.Digest.Hex()
	return fmt.Sprintf("%s:%s… (%s)", b.Digest.Algorithm(), hex[:min(12, len(hex))], Size(b.Size))
}

func Size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// Sum returns the digest of body with the algorithm of want, or with sha256 when that algorithm is unknown.
func Sum(want oci.Digest, body []byte) oci.Digest {
	if !want.InStores() {
		return oci.Sum("sha256", body)
	}
	return oci.Sum(want.Algorithm(), body)
}

const (
	hintEncoding = "turn off compression for these objects (Cache-Control: no-transform, no Content-Encoding): the bytes must be those the digest names"
	HintBytes    = "the object is not what its name says: delete it and mirror it again"
	hintLength   = "send Content-Length: clients resume by it and the proxy counts by it"
	HintRange    = "answer ranges as RFC 9110 section 14 says: runtimes resume broken pulls with bytes=N-, and health probes ask for ranges"
	hintEndBreak = "distribution 2.x answers so: its 416 keeps the blob's Content-Length. A client that resumes a finished download loses its connection and asks again; distribution 3 does not do it"
	hintCache    = "set Cache-Control: public, max-age=31536000, immutable, no-transform on the objects"
	HintMissing  = "403 may mean a private bucket or an object that is not there: allow anonymous reads, and mirror the image first"
	hintURL      = "check bucket, path and {digest} in the URL"
	HintMirror   = "mirror the image into this store, or name an image with --image that it holds"
)

// Whole judges the answer to a GET of the complete b.
func Whole(ans Answer, b Blob) Verdict {
	n := int64(len(ans.Body))
	if ans.Truncated {
		n++
	}
	return Received(ans, b, n, Sum(b.Digest, ans.Body))
}

// Received judges a GET of the complete b whose body was not kept: n bytes of it came, with the digest got.
func Received(ans Answer, b Blob, n int64, got oci.Digest) Verdict {
	if v, bad := Trouble(ans); bad {
		return v
	}
	if ans.Status != http.StatusOK {
		return Verdict{Failed, fmt.Sprintf("%d for %s, want 200", ans.Status, b), missing(ans.Status)}
	}
	if v, bad := headers(ans, b); bad {
		return v
	}
	if n != b.Size {
		return Verdict{Failed, fmt.Sprintf("%d bytes came for %s", n, b), HintBytes}
	}
	if got != b.Digest {
		return Verdict{Failed, fmt.Sprintf("the bytes of %s hash to %.19s…", b, got), HintBytes}
	}
	if ans.Length < 0 {
		return Verdict{Warning, "no Content-Length for " + b.String(), hintLength}
	}
	return Good("%s, digest verified", b)
}

// Head judges the answer to a HEAD of b.
func Head(ans Answer, b Blob) Verdict {
	if v, bad := Trouble(ans); bad {
		return v
	}
	if ans.Status != http.StatusOK {
		return Verdict{Failed, fmt.Sprintf("HEAD answers %d for %s, want 200", ans.Status, b), missing(ans.Status)}
	}
	if v, bad := headers(ans, b); bad {
		return v
	}
	if ans.Length < 0 {
		return Verdict{Warning, "no Content-Length for " + b.String(), hintLength}
	}
	return Good("%s", b)
}

// missing returns advice on a blob that should exist but is not served.
func missing(status int) string {
	switch status {
	case http.StatusForbidden:
		return HintMissing
	case http.StatusNotFound:
		return HintMirror
	}
	return hintURL
}

// headers judges the headers that every 200 for b must have.
func headers(ans Answer, b Blob) (Verdict, bool) {
	if enc := outbound.Encoding(ans.Header); enc != "" {
		return Verdict{Failed, fmt.Sprintf("Content-Encoding: %s", enc), hintEncoding}, true
	}
	if ans.Length >= 0 && ans.Length != b.Size {
		return Verdict{Failed, fmt.Sprintf("Content-Length %d for a blob of %d bytes", ans.Length, b.Size), HintBytes}, true
	}
	return Verdict{}, false
}

// Caching judges the Cache-Control header of a 200.
func Caching(ans Answer) Verdict {
	cc := ans.Header.Get("Cache-Control")
	lower := strings.ToLower(cc)
	switch {
	case cc == "":
		return Verdict{Warning, "no Cache-Control", hintCache}
	case strings.Contains(lower, "no-store"), strings.Contains(lower, "private"), strings.Contains(lower, "no-cache"):
		return Verdict{Warning, "Cache-Control: " + cc, hintCache}
	}
	return Good("%s", cc)
}

// Span is a requested range of bytes: [from, to], both counted from 0.
type Span struct{ From, To int64 }

// Header returns the Range header. It is open-ended, as runtimes write it when they resume, if open is true.
func (s Span) Header(open bool) string {
	if open {
		return "bytes=" + strconv.FormatInt(s.From, 10) + "-"
	}
	return fmt.Sprintf("bytes=%d-%d", s.From, s.To)
}

// Ranged judges the answer to one range of b. content is the complete b when it is known, otherwise nil.
func Ranged(ans Answer, b Blob, s Span, content []byte) Verdict {
	if v, bad := Trouble(ans); bad {
		return v
	}
	bad := func(format string, args ...any) Verdict {
		return Verdict{Failed, fmt.Sprintf(format, args...), HintRange}
	}
	if ans.Status == http.StatusOK {
		return bad("200 to a range request for %s: a resumed pull starts again from the first byte", b)
	}
	if ans.Status != http.StatusPartialContent {
		return bad("%d to a range request for %s, want 206", ans.Status, b)
	}
	if enc := outbound.Encoding(ans.Header); enc != "" {
		return Verdict{Failed, fmt.Sprintf("Content-Encoding: %s", enc), hintEncoding}
	}
	want := fmt.Sprintf("bytes %d-%d/%d", s.From, s.To, b.Size)
	if got := ans.Header.Get("Content-Range"); got != want {
		return bad("Content-Range %q, want %q", got, want)
	}
	if n := s.To - s.From + 1; ans.Truncated || int64(len(ans.Body)) != n {
		return bad("%d bytes came for a range of %d", len(ans.Body), n)
	}
	if content != nil && !bytes.Equal(ans.Body, content[s.From:s.To+1]) {
		return bad("the range holds other bytes than the whole blob has there")
	}
	return Good("%s of %s", want, b)
}

// PastEnd judges the answer to a range that begins where the blob ends. Runtimes send such a request when the
// connection broke after the last byte. RFC 9110 section 15.5.17 requires 416.
func PastEnd(ans Answer, b Blob) Verdict {
	if ans.Err != nil && ans.Status == http.StatusRequestedRangeNotSatisfiable {
		// Distribution before 3.0 keeps the blob's Content-Length in its 416 (Go's http.Error did not remove it before
		// 1.23). The status is correct, and only the connection is lost.
		return Verdict{Warning, fmt.Sprintf("416 to a range past the end, with Content-Length %d and another body: %v", ans.Length, ans.Err), hintEndBreak}
	}
	if v, bad := Trouble(ans); bad {
		return v
	}
	switch ans.Status {
	case http.StatusRequestedRangeNotSatisfiable:
		return Good("416 to a range past the end")
	case http.StatusOK:
		return Verdict{Info, "200 to a range past the end (416 is usual)", ""}
	}
	return Verdict{Warning, fmt.Sprintf("%d to a range past the end of %s, want 416", ans.Status, b), HintRange}
}

// Multi reports on several ranges in one request. No runtime sends such a request, and RFC 9110 lets a server ignore or
// join the ranges, so every legal answer is only information.
func Multi(ans Answer, b Blob) Verdict {
	if v, bad := Trouble(ans); bad {
		v.Result = Warning // S3-like servers may refuse the form: that harms no client of ours
		return v
	}
	info := func(format string, args ...any) Verdict { return Verdict{Info, fmt.Sprintf(format, args...), ""} }
	kind := strings.ToLower(ans.Header.Get("Content-Type"))
	switch {
	case ans.Status == http.StatusPartialContent && strings.HasPrefix(kind, "multipart/byteranges"):
		return info("206 multipart: several ranges in one request are supported")
	case ans.Status == http.StatusPartialContent && ans.Header.Get("Content-Range") != "":
		return info("206 with one range (%s): several ranges in one request are not supported", ans.Header.Get("Content-Range"))
	case ans.Status == http.StatusOK:
		return info("200 with the whole blob: several ranges in one request are not supported")
	case ans.Status == http.StatusRequestedRangeNotSatisfiable, ans.Status == http.StatusBadRequest:
		return info("%d: several ranges in one request are refused", ans.Status)
	}
	return Verdict{Warning, fmt.Sprintf("%d to several ranges of %s, want 206 or 200", ans.Status, b), HintRange}
}

// MadeUp returns a random digest that no store or registry holds.
func MadeUp() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return "sha256:" + hex.EncodeToString(b[:])
}
