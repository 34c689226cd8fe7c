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

// ErrHidden says that an anonymous client gets a blob's bytes changed, or not at all.
var ErrHidden = errors.New("clients would not get its bytes")

// Altered returns why clients would not get an object's bytes unchanged, as far as its attributes show it; "": no
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

// Replace writes an object over the one that has the given version, as [Bucket.Put] does; "": there is nothing to
// replace. It removes an object that cannot be read where nothing may be written over it, as in Azure's archive. That
// needs a right that writers otherwise do not need.
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
		// The bucket's answer is about this object alone: others can still be written.
		return Attrs{}, fmt.Errorf("%w: %s: %s, and has to be removed first, with the right to do so: %s, %s", ErrHidden, key,
			there.Hidden, err.Error(), stays.Error())
	}
	return b.Put(ctx, key, c, h, "")
}

// found describes an object by a list, where the service refuses to do so by its name.
func found(ctx context.Context, b Bucket, key string) (Attrs, bool) {
	for a, err := range b.List(ctx, key, "") {
		return a, err == nil && a.Key == key
	}
	return Attrs{}, false
}

// Public is a store's URL of blobs as anonymous clients read it: without credentials. Several goroutines may use it.
// The zero value is a store without such a URL, where all is well.
type Public struct {
	// URL has {digest} in it, once.
	URL string
	// Client makes the requests. It follows no redirects, as the server of a redirected client does not.
	Client *http.Client
}

// PublicClient makes a client for [Public] that keeps so many connections to a host. The caller closes idle
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
	publicTime  = 20 * time.Second // one question
	publicTries = 4
	publicPause = 100 * time.Millisecond // before the second one; doubled each time
)

// Look asks by HEAD, as a container runtime would by GET, whether an anonymous client gets a blob of size bytes
// unchanged; nil: yes. An error that wraps [ErrHidden] means no. Any other error means that there was no useful
// answer after some tries.
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
		// Some servers do not know HEAD, or tell no length there.
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

// told is what an answer says of an object before its bytes; a part of it counts as the whole.
type told struct {
	what   string // method and URL, for messages
	code   int
	status string
	header http.Header
	length int64 // of the whole; -1: not said
}

// ask makes one request, of which only the head of the answer is read.
func (p *Public) ask(ctx context.Context, method, address, span string) (told, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return told{}, fmt.Errorf("%s %s: %w", method, address, err)
	}
	req.Header.Set("User-Agent", "oci-proxyctl")
	req.Header.Set("Accept-Encoding", "gzip") // as runtimes do: who compresses on the way shows it here
	if span != "" {
		req.Header.Set("Range", span)
	}
	resp, err := p.Client.Do(req)
	if err != nil {
		return told{}, err // it names the URL
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
