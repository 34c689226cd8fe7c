package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

// ErrListing is in the error of a list that contradicts itself or the request. Draw no conclusion from such a list: an
// object that it does not list may exist.
var ErrListing = errors.New("the listing cannot be believed")

const (
	// maxListed is larger than any object that a provider allows.
	maxListed = 1 << 50
	// maxEmptyPages in a row end a list. Services may send some empty pages where many objects were deleted.
	maxEmptyPages = 1000
)

// listing compares what a service lists with what was requested and with what it listed before. Its keys are those of
// the service.
type listing struct {
	what          string // for messages: "containers/images/ of s3://blobs"
	prefix, after string
	last          string
	token         string
	empty         int
}

// newListing checks a list of the objects of b below prefix that sort after after. at is the prefix of every key of b.
func newListing(b Bucket, at, prefix, after string) *listing {
	l := &listing{what: fmt.Sprintf("%s of %s", prefix, b), prefix: at + prefix}
	if after != "" {
		l.after = at + after
	}
	return l
}

// refuse returns the error of a list that cannot be true.
func (l *listing) refuse(format string, args ...any) error {
	return fmt.Errorf("list %s: %w: %s; fix the server, or the proxy in front of it", l.what, ErrListing,
		fmt.Sprintf(format, args...))
}

// cutOff returns the error of an answer with a good status whose document cannot be read.
func cutOff(why error) error {
	text := why.Error()
	if errors.Is(why, io.ErrUnexpectedEOF) || strings.Contains(text, "unexpected EOF") || strings.Contains(text, "unexpected end of JSON") {
		return fmt.Errorf("%w: what the server sent is cut off", ErrListing)
	}
	return fmt.Errorf("%w: what the server sent cannot be read: %s", ErrListing, strings.Join(strings.Fields(text), " "))
}

// object checks one object of the list. wanted is false for an object in a correct place that was not requested: not
// every server knows where to begin.
func (l *listing) object(key string, size int64) (wanted bool, err error) {
	switch {
	case !strings.HasPrefix(key, l.prefix):
		return false, l.refuse("it has the key %.300q, which is not below %q", key, l.prefix)
	case l.last != "" && key == l.last:
		return false, l.refuse("it has the key %.300q twice", key)
	case key < l.last:
		return false, l.refuse("the key %.300q comes after %.300q", key, l.last)
	case size < 0 || size > maxListed:
		return false, l.refuse("it gives %.300q a size of %d bytes", key, size)
	}
	l.last = key
	return key > l.after, nil
}

// page checks the end of a page: how many objects it had, whether another one follows, and the token that requests it.
func (l *listing) page(objects int, more bool, token string) error {
	switch {
	case more && token == "":
		return l.refuse("it goes on after %.300q, says the server, and does not say how", l.last)
	case !more && token != "":
		return l.refuse("it ends after %.300q, says the server, and gives a token to go on with", l.last)
	case more && token == l.token:
		return l.refuse("the page after %.300q has the token of the one before", l.last)
	}
	l.token = token
	if l.empty++; objects > 0 {
		l.empty = 0
	}
	if more && l.empty >= maxEmptyPages {
		return l.refuse("%d pages in a row had no object", l.empty)
	}
	return nil
}

// pageLimit limits how many pages without an object one list may have. It is for a library that requests the pages
// itself.
type pageLimit struct{ next http.RoundTripper }

type pageKey struct{}

var errPages = errors.New("too many pages without an object")

// countPages returns a context under which pageLimit counts the pages of one list in n. The reader of the list sets n
// back to 0 at each object.
func countPages(ctx context.Context, n *atomic.Int32) context.Context {
	return context.WithValue(ctx, pageKey{}, n)
}

func (p *pageLimit) RoundTrip(req *http.Request) (*http.Response, error) {
	if n, ok := req.Context().Value(pageKey{}).(*atomic.Int32); ok && n.Add(1) > maxEmptyPages {
		return nil, errPages
	}
	return p.next.RoundTrip(req)
}
