package fetch

import (
	"net/http"
	"time"

	"ociproxy/internal/outbound"
)

// Defaults of a [Source] whose fields are zero.
const (
	DefaultTimeout  = 30 * time.Second
	DefaultMaxBytes = 32 << 20
)

// maxRedirects is how many redirects are followed. Download pages of providers need one or two.
const maxRedirects = 5

// Source says where a document comes from and what is acceptable. Exactly one of URL and File is set.
type Source struct {
	URL  string // where to GET it
	File string // or: where it lies on local disk

	// Cache is the file for the last good copy; "" keeps none. Its validators lie beside it in Cache + ".meta".
	Cache string
	// Key is what the copy in Cache is a copy of. A copy with another key is not used.
	// The default is URL or File. Set it when the same document moves from URL to URL.
	Key string

	Timeout  time.Duration // for the whole exchange, body included; default DefaultTimeout
	MaxBytes int64         // of the decompressed body; default DefaultMaxBytes

	// Client is used for the exchange, except that redirects are bounded and never go from https to http.
	// nil means http.DefaultClient.
	Client *http.Client
	// Accept is the Accept header; "" sends "*/*".
	Accept string
	// UserAgent is the User-Agent header; "" sends "oci-proxy".
	UserAgent string

	// Validate decides whether a body is good. A body that fails is not returned and not kept.
	// It is called from Get and Load with a body nobody else holds. nil accepts all.
	Validate func([]byte) error
}

// key is the identity that a copy on disk must have.
func (s *Source) key() string {
	if s.Key != "" {
		return s.Key
	}
	return s.from()
}

// from is where the document is looked for now; validators hold only there.
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

// CheckRedirect is the policy of readers ([http.Client.CheckRedirect]): it bounds redirects and refuses to leave https. The error is
// [ErrRedirect].
func CheckRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return ErrRedirect
	}
	if req.URL.Scheme != "https" && via[0].URL.Scheme == "https" {
		return ErrRedirect
	}
	return nil
}
