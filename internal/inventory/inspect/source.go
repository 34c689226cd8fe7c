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

// Source says where an inventory is published and what to expect of it.
type Source struct {
	// URL is the directory that has head.json; it ends in "/".
	URL string
	// Store is the store that the head must name; "" accepts any.
	Store string
	// StaleAfter is the age at which readers stop believing a head; 0 is [inventory.DefaultStaleAfter].
	StaleAfter time.Duration
	// Blobs is the URL of a blob with {digest} in it; "" if unknown.
	Blobs string
}

func (s Source) staleAfter() time.Duration {
	if s.StaleAfter <= 0 {
		return inventory.DefaultStaleAfter
	}
	return s.StaleAfter
}

// digestMark is the placeholder for the digest in a template.
const digestMark = "{digest}"

// Errors of addresses.
var (
	ErrAddress   = errors.New("no URL of the form https://host/path")
	ErrPlainHTTP = errors.New("plain http is for loopback only: anyone on the network path can change what is sent")
	ErrTemplate  = errors.New("needs {digest} exactly once")
)

// ParseURL reads the address of an inventory as a person writes it: the directory, with or without the last slash, or
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

// ParseTemplate checks the URL of a blob with {digest} in it. The error wraps [ErrAddress], [ErrPlainHTTP] or
// [ErrTemplate].
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

// Options say how to read inventories.
type Options struct {
	// Transport makes the requests; nil means one with sensible limits.
	Transport http.RoundTripper
	// Progress is called as bytes arrive. of is the total of the segments; 0 before the head was read. The goroutine
	// that reads calls Progress; while blobs are read, several do at once. nil: no calls.
	Progress func(received, of int64)
	// Now returns the time; nil means [time.Now].
	Now func() time.Time
}

func (o Options) now() time.Time {
	if o.Now != nil {
		return o.Now()
	}
	return time.Now()
}

// NewTransport returns an HTTP transport with a limit for every step. The caller closes its idle connections.
func NewTransport() *http.Transport {
	return outbound.New(outbound.Options{
		Dial: 5 * time.Second, Handshake: 5 * time.Second, Header: 20 * time.Second, Idle: 30 * time.Second,
		Kept: sampleAtOnce, HeaderBytes: 64 << 10,
	})
}
