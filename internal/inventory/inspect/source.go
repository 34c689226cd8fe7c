package inspect

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ociproxy/internal/inventory"
	"ociproxy/internal/outbound"
)

// Source says where an inventory is published and what it should be.
type Source struct {
	// URL is the directory that has head.json; it ends in "/".
	URL string
	// Store is whose inventory the head must say it is; "" accepts anybody's.
	Store string
	// StaleAfter is the age at which readers stop believing a head; 0 is [inventory.DefaultStaleAfter].
	StaleAfter time.Duration
	// Blobs is the URL of a blob with {digest} in it; "" when it is not known.
	Blobs string
}

func (s Source) staleAfter() time.Duration {
	if s.StaleAfter <= 0 {
		return inventory.DefaultStaleAfter
	}
	return s.StaleAfter
}

// digestMark is where a template has the digest.
const digestMark = "{digest}"

// What is wrong with an address.
var (
	ErrAddress   = errors.New("no URL of the form https://host/path")
	ErrPlainHTTP = errors.New("plain http is for loopback only: anyone on the network path can change what is sent")
	ErrTemplate  = errors.New("needs {digest} exactly once")
)

// ParseURL reads the address of an inventory as a person writes it: of the directory, with or without the last slash, or of
// its head.json. The error wraps [ErrAddress] or [ErrPlainHTTP].
func ParseURL(text string) (string, error) {
	if strings.ContainsAny(text, "?#{}") {
		return "", fmt.Errorf("%q: %w", text, ErrAddress)
	}
	if err := checkAddress(text); err != nil {
		return "", err
	}
	text = strings.TrimSuffix(text, inventory.HeadName)
	return strings.TrimRight(text, "/") + "/", nil
}

// ParseTemplate checks the URL of a blob with {digest} in it. The error wraps [ErrAddress], [ErrPlainHTTP] or [ErrTemplate].
func ParseTemplate(text string) (string, error) {
	if strings.Count(text, digestMark) != 1 {
		return "", fmt.Errorf("%q: %w", text, ErrTemplate)
	}
	return text, checkAddress(strings.ReplaceAll(text, digestMark, "digest"))
}

func checkAddress(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("%q: %w", text, ErrAddress)
	}
	if u.Scheme == "http" && !outbound.Loopback(u.Host) {
		return fmt.Errorf("%q: %w", text, ErrPlainHTTP)
	}
	return nil
}

// Options are how to ask.
type Options struct {
	// Transport makes the requests; nil is one with sane bounds.
	Transport http.RoundTripper
	// Progress is told of bytes as they arrive; of is how many the segments have, 0 before the head was read. It is called from the
	// goroutine that reads, from several at once while blobs are read. nil: nobody is told.
	Progress func(received, of int64)
	// Now tells the time; nil is [time.Now].
	Now func() time.Time
}

func (o Options) now() time.Time {
	if o.Now != nil {
		return o.Now()
	}
	return time.Now()
}

// NewTransport is an HTTP transport whose every step is bounded. The caller closes its idle connections.
func NewTransport() *http.Transport {
	return outbound.New(outbound.Options{
		Dial: 5 * time.Second, Handshake: 5 * time.Second, Header: 20 * time.Second, Idle: 30 * time.Second,
		Kept: sampleAtOnce, HeaderBytes: 64 << 10,
	})
}
