package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"time"
)

// answer is the answer of a source. A nil body means that the document is unchanged.
type answer struct {
	body  []byte
	meta  meta
	stamp stamp
}

// stamp shows cheaply whether a local file may have changed.
type stamp struct {
	modified time.Time
	size     int64
}

// ask asks the source. have describes the body that the caller already has.
func (f *Fetcher) ask(ctx context.Context, have meta) (answer, error) {
	if f.src.File != "" {
		return f.askFile(have)
	}
	return f.askURL(ctx, have)
}

func (f *Fetcher) askFile(have meta) (answer, error) {
	file, err := os.Open(f.src.File)
	if err != nil {
		return answer{}, trimPath(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return answer{}, trimPath(err)
	}
	if !info.Mode().IsRegular() {
		return answer{}, errors.New("not a regular file")
	}
	now := stamp{info.ModTime(), info.Size()}
	if f.delivered && now == f.stamp {
		return answer{meta: have, stamp: now}, nil
	}
	body, err := readAll(file, f.src.MaxBytes)
	if err != nil {
		return answer{}, trimPath(err)
	}
	m := meta{Key: f.src.key(), From: f.src.from(), SHA256: sum(body), Checked: now.modified.UTC()}
	return answer{body: body, meta: m, stamp: now}, nil
}

func (f *Fetcher) askURL(ctx context.Context, have meta) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.src.URL, nil)
	if err != nil {
		return answer{}, err
	}
	have = have.sendable(time.Now())
	f.headers(req.Header, have)
	resp, err := f.src.client().Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // the caller already names the URL
		}
		return answer{}, err
	}
	defer resp.Body.Close()

	now := time.Now().UTC()
	switch resp.StatusCode {
	case http.StatusNotModified:
		if !have.validators() {
			return answer{}, errors.New("status 304 to a request without validators")
		}
		have.Checked = now
		return answer{meta: have}, nil
	case http.StatusOK:
	default:
		return answer{}, &StatusError{resp.StatusCode}
	}
	if t, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); t == "text/html" {
		return answer{}, ErrHTML
	}
	if e := resp.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return answer{}, fmt.Errorf("%w: %q", ErrEncoding, e)
	}
	body, err := readAll(resp.Body, f.src.MaxBytes)
	if err != nil {
		return answer{}, err
	}
	if looksHTML(body) {
		return answer{}, ErrHTML
	}
	return answer{body: body, meta: meta{
		Key: f.src.key(), From: f.src.from(), SHA256: sum(body), Checked: now,
		ETag: resp.Header.Get("ETag"), LastModified: resp.Header.Get("Last-Modified"),
	}}, nil
}

// sendable returns m with the validators that may be sent again. A source may have been in wrong hands for a while. A
// validator from then must not make the true source answer "unchanged", or refuse the request, for ever after.
func (m meta) sendable(now time.Time) meta {
	if !etag.MatchString(m.ETag) || len(m.ETag) > maxETag {
		m.ETag = ""
	}
	if at, err := http.ParseTime(m.LastModified); err != nil || at.After(now.Add(maxAhead)) {
		m.LastModified = ""
	}
	return m
}

// etag is one entity tag (RFC 9110, 8.8.3), and no list and no "*", which means any document. Some stores leave its
// quotation marks out.
var etag = regexp.MustCompile(`^((W/)?"[^"\x00-\x20\x7f]*"|[A-Za-z0-9+/=_.:-]+)$`)

// maxETag is far above what stores send. maxAhead is how far another clock may be ahead.
const maxETag, maxAhead = 256, time.Hour

func (f *Fetcher) headers(h http.Header, have meta) {
	h.Set("Accept", or(f.src.Accept, "*/*"))
	h.Set("User-Agent", or(f.src.UserAgent, "oci-proxy"))
	if have.ETag != "" {
		h.Set("If-None-Match", have.ETag)
	}
	if have.LastModified != "" && !f.src.Exact {
		h.Set("If-Modified-Since", have.LastModified)
	}
}

// readAll reads at most limit bytes. The transport has already decompressed them: the limit is on the bytes in memory.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	}
	return body, nil
}

// looksHTML recognises the pages that captive portals and error handlers send with status 200 and any content type.
func looksHTML(body []byte) bool {
	head := bytes.TrimLeft(bytes.TrimPrefix(body[:min(len(body), 512)], []byte("\xef\xbb\xbf")), " \t\r\n")
	head = bytes.ToLower(head)
	return bytes.HasPrefix(head, []byte("<!doctype html")) || bytes.HasPrefix(head, []byte("<html"))
}

// trimPath drops the path from a file error, because the caller already names it.
func trimPath(err error) error {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err
	}
	return err
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
