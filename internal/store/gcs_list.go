package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// gcsPages checks the pages of a list before the library reads them. The library accepts any JSON as a page, and takes
// a page without objects for the end of the list. A page has a thousand objects at most.
type gcsPages struct{ next http.RoundTripper }

const (
	gcsListKind = "storage#objects"
	maxGCSPage  = 32 << 20
)

type gcsListKey struct{}

// listingOf returns a context that marks the answers as pages of a list of a bucket.
func listingOf(ctx context.Context, bucket string) context.Context {
	return context.WithValue(ctx, gcsListKey{}, bucket)
}

// errPage says why an answer is not a page.
type errPage struct{ error }

func (e errPage) Unwrap() error { return e.error }

// RoundTrip implements [http.RoundTripper].
func (p *gcsPages) RoundTrip(req *http.Request) (*http.Response, error) {
	bucket, ok := req.Context().Value(gcsListKey{}).(string)
	if !ok {
		return p.next.RoundTrip(req)
	}
	// The library requests certain fields of the objects, so the server leaves out all other fields of the page: add
	// "kind".
	// https://docs.cloud.google.com/storage/docs/json_api#partial-response
	req = req.Clone(req.Context())
	query := req.URL.Query()
	if fields := query.Get("fields"); fields != "" {
		query.Set("fields", "kind,"+fields)
		req.URL.RawQuery = query.Encode()
	}
	resp, err := p.next.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxGCSPage+1))
	resp.Body.Close()
	if err == nil {
		err = gcsPage(text, bucket)
	} else if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err // worth another try
	}
	if err != nil {
		return nil, final{errPage{err}}
	}
	resp.Body = io.NopCloser(bytes.NewReader(text))
	return resp, nil
}

// gcsPage returns what is wrong with a page of a bucket's list, or nil.
func gcsPage(text []byte, bucket string) error {
	var page struct {
		Kind  string
		Error json.RawMessage
		Items []struct{ Bucket string }
	}
	switch err := json.Unmarshal(text, &page); {
	case len(text) > maxGCSPage:
		return fmt.Errorf("%w: a page of more than %d bytes", ErrListing, maxGCSPage)
	case err != nil && len(bytes.TrimSpace(text)) > 0:
		return cutOff(err)
	case page.Error != nil:
		code, message := wordsOf(text)
		return fmt.Errorf("%w: what the server sent, with a good status, is an error %s", ErrListing, strings.TrimSpace(code+" "+message))
	case page.Kind != gcsListKind:
		return fmt.Errorf("%w: what the server sent is no list of objects", ErrListing)
	}
	for _, item := range page.Items {
		if item.Bucket != "" && item.Bucket != bucket {
			return fmt.Errorf("%w: it is of the bucket %.100q, not of %q", ErrListing, item.Bucket, bucket)
		}
	}
	return nil
}
