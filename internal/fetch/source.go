package fetch

import (
	"net/http"
	"time"

	"ociproxy/internal/outbound"
)

// These are the defaults for zero fields of a [Source].
const (
	DefaultTimeout  = 30 * time.Second
	DefaultMaxBytes = 32 << 20
)

// maxRedirects is how many redirects are followed. Download pages of providers need one or two.
const maxRedirects = 5

// Source says where a document comes from and which documents are acceptable. Exactly one of URL and File is set.
type Source struct {
	URL  string // where to GET it
	File string // or the path of a local file

	// Cache is the file for the last good copy. "" keeps none. Its validators are beside it in Cache + ".meta".
	Cache string
	// Key is the identity of the copy in Cache. A copy with another key is not used. The default is URL or File. Set it
	// when the same document moves from URL to URL.
	Key string

	Timeout  time.Duration // of the complete exchange, with the body; default DefaultTimeout
	MaxBytes int64         // of the decompressed body; default DefaultMaxBytes

	// Client is used for the exchange, but the number of redirects is limited, and redirects never lead from https to
	// http. nil means http.DefaultClient.
	Client *http.Client
	// Accept is the Accept header; "" sends "*/*".
	Accept string
	// UserAgent is the User-Agent header; "" sends "oci-proxy".
	UserAgent string

	// Exact asks conditionally only by ETag. A date has a precision of one second: of two documents of the same second, the
	// second would never be read.
	Exact bool

	// Validate decides whether a body is valid. An invalid body is neither returned nor kept. Get and Load call
	// Validate with a body that no other code holds. nil accepts all.
	Validate func([]byte) error
}

// key is the identity that a copy on disk must have.
func (s *Source) key() string {
	if s.Key != "" {
		return s.Key
	}
	return s.from()
}

// from returns where the document is now. Validators are valid only there.
func (s *Source) from() string {
	if s.File != "" {
		return s.File
	}
	return s.URL
}

func (s *Source) client() *http.Client {
	c := http.Client{}
	if s.Client != nil {
		c = *s.Client
	}
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	c.Transport, c.CheckRedirect = outbound.Explaining(c.Transport), CheckRedirect
	return &c
}

// CheckRedirect is the policy of readers ([http.Client.CheckRedirect]). It limits the number of redirects and refuses a
// redirect from https to another scheme. The error is [ErrRedirect].
func CheckRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return ErrRedirect
	}
	if req.URL.Scheme != "https" && via[0].URL.Scheme == "https" {
		return ErrRedirect
	}
	return nil
}
