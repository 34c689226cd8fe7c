package accesslog

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Format is the layout of a line.
type Format string

// These are the formats.
const (
	// Proxy is the request log of oci-proxy, as JSON or as text, also inside the jsonPayload of a Cloud Logging entry.
	Proxy Format = "oci-proxy"
	// CloudLogging is an entry of Google's Cloud Logging with an httpRequest: load balancers and Cloud Run.
	CloudLogging Format = "cloud-logging"
	// ALB is the access log of AWS's Application Load Balancer.
	ALB Format = "alb"
	// CloudFront is the standard log of Amazon CloudFront, with tabs between the fields.
	CloudFront Format = "cloudfront"
	// Combined is the format that nginx and Apache call combined, or Apache's common and vhost_combined.
	Combined Format = "combined"
)

// Formats lists all formats.
func Formats() []Format { return []Format{Proxy, CloudLogging, ALB, CloudFront, Combined} }

// Unknown is a number of bytes that the log does not tell.
const Unknown = -1

// Record is one request of a log. Its texts come from clients, and nothing about them was checked.
type Record struct {
	Format Format
	// Time is when the request came, or when it was answered: logs differ. Zero: the log does not say.
	Time time.Time
	// Client is the client's address; invalid when the log has none. When the log has only the client's network, it is
	// the first address of the network, and Network is true.
	Client  netip.Addr
	Network bool
	// Place is the client's place as the proxy logged it: `cloud/region`, or "".
	Place  string
	Method string
	// Host is the name that the client asked, in lower case and without a port; "" when the log does not say.
	Host string
	// Path is the path of the request as the client escaped it, without the query. The proxy's log has no path, so it
	// is put together from the name and the reference; "" for requests outside the registry API.
	Path   string
	Status int
	// Sent is how many bytes the client got; [Unknown] otherwise. Fronts count with or without headers.
	Sent int64
	// Size is the size of the whole blob that the client was sent to, in bytes; [Unknown] otherwise. Only the proxy's
	// log has it.
	Size      int64
	UserAgent string
	// Candidate and Reason are the proxy's decision; "" when the log does not say.
	Candidate, Reason string
	// Probe marks a request of the probe, which no client made.
	Probe bool
	// Weight is how many requests the line stands for: more than 1 when the proxy logs a share of them.
	Weight float64
}

// reset makes r an empty record. Every line begins with it.
func (r *Record) reset() { *r = Record{Sent: Unknown, Size: Unknown, Weight: 1} }

// setTime takes a time in the layout, and reports whether text is one.
func (r *Record) setTime(layout, text string) bool {
	at, err := time.Parse(layout, text)
	r.Time = at.UTC()
	return err == nil
}

// setTarget takes host and path from a URL, or from the target of a request.
func (r *Record) setTarget(target string) {
	target, _, _ = strings.Cut(target, "?")
	if scheme, rest, ok := strings.Cut(target, "://"); ok && !strings.Contains(scheme, "/") {
		host, _, _ := strings.Cut(rest, "/")
		r.setHost(host)
		r.Path = rest[len(host):]
		return
	}
	r.Path = target
}

// setHost takes a host without its port.
func (r *Record) setHost(host string) {
	if host == "" || host == "-" {
		return
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	r.Host = strings.ToLower(strings.TrimSuffix(host, "."))
}

// setClient takes an address, with or without a port, or a network. It reports whether text is one of these.
func (r *Record) setClient(text string) bool {
	if strings.IndexByte(text, '/') >= 0 {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return false
		}
		r.Client, r.Network = p.Masked().Addr().Unmap(), true
		return true
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		r.Client = addr.Unmap().WithZone("")
		return true
	}
	if at, err := netip.ParseAddrPort(text); err == nil {
		r.Client = at.Addr().Unmap().WithZone("")
		return true
	}
	// ALB writes an IPv6 address with its port and without brackets.
	if i := strings.LastIndexByte(text, ':'); i > 0 {
		if addr, err := netip.ParseAddr(text[:i]); err == nil {
			r.Client = addr.Unmap().WithZone("")
			return true
		}
	}
	return false
}

// setStatus takes a status code, and reports whether text is one. "-" is one too: no answer was sent.
func (r *Record) setStatus(text string) bool {
	if text == "-" {
		return true
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 999 {
		return false
	}
	r.Status = n
	return true
}

// bytesOf reads a number of bytes; [Unknown] when text is none.
func bytesOf(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return Unknown
	}
	return n
}
