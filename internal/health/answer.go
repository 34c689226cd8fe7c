package health

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"ociproxy/internal/outbound"
)

// check judges an answer by what container clients need: the right bytes, the right total, and that a download can be
// resumed.
func (q *query) check(t *Target, resp *http.Response) error {
	if resp.StatusCode/100 != 2 {
		return &statusError{resp.StatusCode, q.statusText(resp)}
	}
	if e := outbound.Encoding(resp.Header); e != "" {
		return fmt.Errorf("content encoding %.40q changes the bytes", e)
	}
	switch {
	case q.kind == ping && isHTML(resp.Header):
		return errHTML
	case q.kind == ping:
		return nil
	case q.kind == byteRange && resp.StatusCode == http.StatusPartialContent:
		return q.checkRange(resp)
	case q.kind == openRange && resp.StatusCode == http.StatusPartialContent:
		return q.checkRest(resp)
	case (q.kind == byteRange || q.kind == openRange) && resp.StatusCode == http.StatusOK:
		return q.checkIgnored(t, resp)
	case resp.StatusCode == http.StatusOK:
		return q.checkWhole(resp)
	default:
		return &statusError{resp.StatusCode, q.statusText(resp)}
	}
}

var errHTML = errors.New("an HTML page with status 200")

func (q *query) statusText(resp *http.Response) string {
	if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return fmt.Sprintf("status 416: the object has fewer bytes than the %d it should have", q.object.Size)
	}
	return fmt.Sprintf("status %d", resp.StatusCode)
}

// checkRange checks a 206.
func (q *query) checkRange(resp *http.Response) error {
	field := resp.Header.Get("Content-Range")
	first, last, total, ok := parseContentRange(field)
	end := q.end()
	if q.object.Size < 0 {
		end = min(end, total-1)
	}
	switch {
	case !ok:
		return fmt.Errorf("status 206 with the Content-Range %.60q", field)
	case first != q.start || last != end:
		return fmt.Errorf("asked for bytes %d-%d, got %d-%d", q.start, q.end(), first, last)
	case q.object.Size >= 0 && total != q.object.Size:
		return fmt.Errorf("the object has %d bytes, should have %d", total, q.object.Size)
	}
	return copyExactly(io.Discard, resp, last-first+1)
}

// checkRest checks a 206 to a request without a last byte.
func (q *query) checkRest(resp *http.Response) error {
	field := resp.Header.Get("Content-Range")
	first, last, total, ok := parseContentRange(field)
	switch {
	case !ok:
		return fmt.Errorf("status 206 with the Content-Range %.60q", field)
	case first != q.start || last != total-1:
		return fmt.Errorf("asked for the bytes from %d on, got %d-%d of %d", q.start, first, last, total)
	case q.object.Size >= 0 && total != q.object.Size:
		return fmt.Errorf("the object has %d bytes, should have %d", total, q.object.Size)
	case q.object.Size >= 0:
		return copyExactly(io.Discard, resp, last-first+1)
	}
	want := min(q.length, last-first+1)
	n, err := io.Copy(io.Discard, io.LimitReader(resp.Body, want))
	return whether(n, want, err)
}

// checkIgnored checks a 200 to a Range request. A client that resumes a broken download gets the layer from its
// beginning again. So a store that answers like this is of no use; a registry may.
func (q *query) checkIgnored(t *Target, resp *http.Response) error {
	switch {
	case isHTML(resp.Header):
		return errHTML
	case !t.RangeOptional:
		return errors.New("status 200 to a Range request: downloads cannot be resumed")
	case q.object.Size >= 0 && resp.ContentLength >= 0 && resp.ContentLength != q.object.Size:
		return fmt.Errorf("the object has %d bytes, should have %d", resp.ContentLength, q.object.Size)
	}
	// This is enough to see that data flows; the probe does not read the rest.
	want := int64(maxWhole)
	if q.object.Size >= 0 {
		want = min(want, q.object.Size)
	} else if resp.ContentLength >= 0 {
		want = min(want, resp.ContentLength)
	} else {
		want = 0
	}
	n, err := io.Copy(io.Discard, io.LimitReader(resp.Body, want))
	return whether(n, want, err)
}

// checkWhole checks a 200: the length and, for algorithms that we know, the digest.
func (q *query) checkWhole(resp *http.Response) error {
	want := q.object.Size
	if want < 0 {
		want = resp.ContentLength
	}
	if want > maxManifest {
		return fmt.Errorf("%d bytes to be read whole, more than %d", want, maxManifest)
	}
	h := q.object.Digest.Hash()
	if want < 0 { // the size is unknown
		n, err := io.Copy(h, io.LimitReader(resp.Body, maxManifest+1))
		if err != nil || n > maxManifest {
			return whether(n, maxManifest, err)
		}
	} else if err := copyExactly(h, resp, want); err != nil {
		if isHTML(resp.Header) {
			return errHTML
		}
		return err
	}
	switch {
	case q.object.Digest.Matches(h):
		return nil
	case isHTML(resp.Header):
		return errHTML
	case !q.object.Digest.InStores(): // an unknown algorithm
		return nil
	}
	return errors.New("wrong bytes: the digest does not match")
}

// copyExactly reads a body that must have want bytes.
func copyExactly(w io.Writer, resp *http.Response, want int64) error {
	if resp.ContentLength >= 0 && resp.ContentLength != want {
		return fmt.Errorf("an answer of %d bytes, should have %d", resp.ContentLength, want)
	}
	n, err := io.Copy(w, io.LimitReader(resp.Body, want+1))
	return whether(n, want, err)
}

// whether checks that n bytes with an error are exactly want bytes.
func whether(n, want int64, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("the answer breaks off after %d of %d bytes: %w", n, want, err)
	case n < want:
		return fmt.Errorf("the answer ends after %d of %d bytes", n, want)
	case n > want:
		return fmt.Errorf("the answer has more than %d bytes", want)
	}
	return nil
}

// parseContentRange reads "bytes first-last/total" (RFC 9110 §14.4). An unknown total is refused: clients learn a
// layer's size from it.
func parseContentRange(s string) (first, last, total int64, ok bool) {
	s, ok = strings.CutPrefix(s, "bytes ")
	if !ok {
		return 0, 0, 0, false
	}
	span, size, ok1 := strings.Cut(s, "/")
	from, to, ok2 := strings.Cut(span, "-")
	var errs [3]error
	first, errs[0] = strconv.ParseInt(from, 10, 64)
	last, errs[1] = strconv.ParseInt(to, 10, 64)
	total, errs[2] = strconv.ParseInt(size, 10, 64)
	ok = ok1 && ok2 && errors.Join(errs[:]...) == nil && 0 <= first && first <= last && last < total
	return first, last, total, ok
}
