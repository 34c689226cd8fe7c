package store

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"ociproxy/internal/oci"
	"ociproxy/internal/outbound"
	"ociproxy/internal/wait"
)

// ErrHidden means that anonymous clients get a blob's bytes changed, or do not get them.
var ErrHidden = errors.New("clients would not get its bytes")

// Altered returns why clients would not get an object's bytes unchanged, as far as its attributes show it; "" means no
// reason. Blobs that this package writes have no such reason.
func (a Attrs) Altered() string {
	encoding := outbound.Coding(a.ContentEncoding)
	switch {
	case a.Hidden != "":
		return a.Hidden
	case encoding != "":
		return "Content-Encoding: " + encoding
	case compressible(a.ContentType) && !strings.Contains(strings.ToLower(a.CacheControl), "no-transform"):
		return "Content-Type: " + a.ContentType + ", which caches compress where Cache-Control does not say no-transform"
	}
	return ""
}

// compressible reports whether a server between a bucket and its clients may treat a type as text, and compress or
// rewrite it.
func compressible(contentType string) bool {
	media, _, _ := mime.ParseMediaType(contentType)
	kind, sub, _ := strings.Cut(media, "/")
	switch {
	case kind == "text", strings.HasSuffix(sub, "+json"), strings.HasSuffix(sub, "+xml"):
		return true
	case kind != "application":
		return false
	}
	switch sub {
	case "json", "xml", "javascript", "x-javascript", "ecmascript", "wasm", "manifest", "yaml", "x-yaml":
		return true
	}
	return false
}

// Replace writes an object over the one that has the given version, like [Bucket.Put]; "" means that there is nothing
// to replace. If an object cannot be read or overwritten, as in Azure's archive, Replace removes it first. That needs a
// right that writers otherwise do not need.
func Replace(ctx context.Context, b Bucket, key string, c Content, h Header, version string) (Attrs, error) {
	a, err := b.Put(ctx, key, c, h, version)
	if err == nil || version == "" || errors.Is(err, ErrExists) || errors.Is(err, ErrConflict) || ctx.Err() != nil {
		return a, err
	}
	there, asked := b.Head(ctx, key)
	if asked != nil || there.Version != version || there.Hidden == "" || c.Verified(ctx) != nil {
		return Attrs{}, err
	}
	if stays := b.Delete(ctx, key, version); stays != nil {
		// The bucket's answer concerns only this object: other objects can still be written.
		return Attrs{}, fmt.Errorf("%w: %s: %s, and has to be removed first, with the right to do so: %s, %s", ErrHidden, key,
			there.Hidden, err.Error(), stays.Error())
	}
	return b.Put(ctx, key, c, h, "")
}

// found describes an object by means of a list, for a service that refuses to describe it in HEAD.
func found(ctx context.Context, b Bucket, key string) (Attrs, bool) {
	for a, err := range b.List(ctx, key, "") {
		return a, err == nil && a.Key == key
	}
	return Attrs{}, false
}

// Public is the URL at which anonymous clients read a store's blobs, without credentials. Several goroutines may use
// it. The zero value is a store without such a URL; Look then returns nil.
type Public struct {
	// URL has {digest} in it, once.
	URL string
	// Client makes the requests. It follows no redirects, because a store must serve a blob itself.
	Client *http.Client
}

// PublicClient makes a client for [Public] that keeps this many idle connections to a host. The caller closes idle
// connections.
func PublicClient(kept int) *http.Client {
	return &http.Client{
		Timeout:       publicTime,
		CheckRedirect: outbound.NoRedirect,
		Transport: outbound.Explaining(outbound.New(outbound.Options{
			Dial: 5 * time.Second, Handshake: 5 * time.Second, Header: publicTime, Idle: 30 * time.Second,
			Kept: kept, HeaderBytes: 64 << 10,
		})),
	}
}

const (
	publicTime  = 20 * time.Second // for one request
	publicTries = 4
	publicPause = 100 * time.Millisecond // before the second try; doubled each time
)

// Look asks by HEAD whether an anonymous client, such as a container runtime, gets a blob of size bytes unchanged; nil
// means yes. An error that wraps [ErrHidden] means no. Any other error means that several tries got no useful answer.
func (p *Public) Look(ctx context.Context, d oci.Digest, size int64) error {
	if p.URL == "" {
		return nil
	}
	address := strings.Replace(p.URL, "{digest}", d.String(), 1)
	pause := publicPause
	for try := 1; ; try++ {
		err := p.look(ctx, address, size)
		if err == nil || errors.Is(err, ErrHidden) || outbound.Certain(err) || try == publicTries || ctx.Err() != nil {
			return err
		}
		if wait.For(ctx, wait.Jitter(pause)) != nil {
			return err
		}
		pause *= 2
	}
}

func (p *Public) look(ctx context.Context, address string, size int64) error {
	got, err := p.ask(ctx, http.MethodHead, address, "")
	if err != nil {
		return err
	}
	if got.code == http.StatusMethodNotAllowed || got.code == http.StatusNotImplemented ||
		got.code == http.StatusOK && got.length < 0 && size > 0 {
		// Some servers do not know HEAD, or do not send the length in its answer.
		if got, err = p.ask(ctx, http.MethodGet, address, "bytes=0-0"); err != nil {
			return err
		}
	}
	encoding := outbound.Encoding(got.header)
	switch {
	case got.code == http.StatusTooManyRequests || got.code == http.StatusRequestTimeout || got.code >= 500:
		return fmt.Errorf("%s: %s", got.what, got.status)
	case got.code != http.StatusOK:
		return fmt.Errorf("%w: %s: %s", ErrHidden, got.what, got.status)
	case encoding != "":
		return fmt.Errorf("%w: %s: Content-Encoding: %s", ErrHidden, got.what, encoding)
	case got.length < 0 && size > 0:
		return fmt.Errorf("%w: %s: it does not tell its size: something on the way changes the bytes", ErrHidden, got.what)
	case got.length != size && got.length >= 0:
		return fmt.Errorf("%w: %s: %d bytes, the bucket has %d", ErrHidden, got.what, got.length, size)
	}
	return nil
}

// told is what an answer says about an object before its bytes. An answer with a part counts as one with the complete
// object.
type told struct {
	what   string // method and URL, for messages
	code   int
	status string
	header http.Header
	length int64 // of the complete object; -1: unknown
}

// ask makes one request and reads only the header of the answer.
func (p *Public) ask(ctx context.Context, method, address, span string) (told, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return told{}, fmt.Errorf("%s %s: %w", method, address, err)
	}
	req.Header.Set("User-Agent", "oci-proxyctl")
	req.Header.Set("Accept-Encoding", "gzip") // as runtimes do: a proxy that compresses shows it here
	if span != "" {
		req.Header.Set("Range", span)
	}
	resp, err := p.Client.Do(req)
	if err != nil {
		return told{}, err // the error names the URL
	}
	t := told{what: method + " " + address, code: resp.StatusCode, status: resp.Status, header: resp.Header, length: resp.ContentLength}
	if t.code == http.StatusPartialContent && span != "" {
		t.code = http.StatusOK
		if t.length, err = rangeTotal(resp.Header.Get("Content-Range"), 0); err != nil {
			t.length = -1
		}
	}
	return t, resp.Body.Close()
}
