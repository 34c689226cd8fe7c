package demo

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ociproxy/internal/outbound"
)

const (
	// fetchTimeout bounds one piece, including the redirect.
	fetchTimeout = 20 * time.Second
	// maxPiece bounds how much of one piece is read; the largest layer has 1.6
	// MB.
	maxPiece = 16 << 20
)

// puller is the part of a container runtime that matters here: it asks the
// proxy for a piece of an image, follows the redirect and reads the answer.
// Unlike a runtime's HTTP library, it makes the two requests separately, to see
// who answered.
type puller struct {
	http   *http.Client
	base   string // the registry's URL, as the client sees it
	client string
	// forwarded is the value for X-Forwarded-For. It is sent only to the proxy,
	// never to a store.
	forwarded string
}

func newPuller(rt http.RoundTripper, base, client, forwarded string) *puller {
	return &puller{
		http: &http.Client{
			Transport:     rt,
			CheckRedirect: outbound.NoRedirect,
		},
		base: base, client: client, forwarded: forwarded,
	}
}

// fetched is one piece of an image, as it arrived.
type fetched struct {
	location *url.URL // where the proxy sent us
	data     []byte
}

// fetch gets path through the proxy. If the error is not nil, location may
// still say which node gave the bad answer.
func (p *puller) fetch(ctx context.Context, path, accept string) (fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	var f fetched
	res, err := p.get(ctx, p.base+path, accept, p.forwarded)
	if err != nil {
		return f, err
	}
	drain(res.Body)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusTemporaryRedirect {
		return f, fmt.Errorf("the proxy answered %s, not 307", res.Status)
	}
	if f.location, err = url.Parse(res.Header.Get("Location")); err != nil || f.location.Host == "" {
		return f, fmt.Errorf("the proxy redirected to %q", res.Header.Get("Location"))
	}
	if res, err = p.get(ctx, f.location.String(), accept, ""); err != nil {
		return f, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return f, fmt.Errorf("the answer was %s, not 200", res.Status)
	}
	f.data, err = io.ReadAll(io.LimitReader(res.Body, maxPiece))
	return f, err
}

func (p *puller) get(ctx context.Context, target, accept, forwarded string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", agent+p.client)
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	if forwarded != "" {
		req.Header.Set(headerForwarded, forwarded)
	}
	return p.http.Do(req)
}

// drain reads the few bytes that a redirect may have, so that its connection
// can be reused. The caller closes the body.
func drain(body io.Reader) { _, _ = io.Copy(io.Discard, io.LimitReader(body, 4096)) }

// The paths of the pieces, as clients ask for them.
func manifestPath(reference string) string { return "/v2/" + imageName + "/manifests/" + reference }
func blobPath(digest string) string        { return "/v2/" + imageName + "/blobs/" + digest }

// acceptManifests is the Accept header that runtimes send for manifests.
var acceptManifests = strings.Join([]string{typeIndex, typeManifest,
	"application/vnd.docker.distribution.manifest.list.v2+json",
	"application/vnd.docker.distribution.manifest.v2+json"}, ", ")
