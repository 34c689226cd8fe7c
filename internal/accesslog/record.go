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
	// S3 is the server access log of Amazon S3.
	S3 Format = "s3"
	// CloudFrontJSON is the standard log of Amazon CloudFront (v2) as JSON lines.
	CloudFrontJSON Format = "cloudfront-json"
	// GCS is the usage log of Google Cloud Storage, as CSV.
	GCS Format = "gcs"
	// Azure is the resource log of Azure Blob Storage: JSON lines in a storage account, or the table StorageBlobLogs.
	Azure Format = "azure"
	// Declared is a log whose fields the caller declares; see [ParseLayout].
	Declared Format = "declared"
)

// Formats lists all formats that a reader finds out by itself.
func Formats() []Format { return append(Fronts(), S3, GCS, Azure) }

// Fronts lists the formats that can say what clients asked the proxy: its own log, and those of the fronts before it.
func Fronts() []Format {
	return []Format{Proxy, CloudLogging, ALB, CloudFront, CloudFrontJSON, Combined}
}

// OfBuckets reports whether only buckets write logs of this format.
func (f Format) OfBuckets() bool { return f == S3 || f == GCS || f == Azure }

// Unknown is a number of bytes that the log does not tell.
const Unknown = -1

// Record is one request of a log. Its texts come from clients, and nothing about them was checked.
type Record struct {
	Format Format
	// File and Line say where the record begins.
	File string
	Line int64
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
	// Size is the size of the whole blob, in bytes; [Unknown] otherwise. The log of a bucket has it of the object that
	// was asked for, and the proxy's log of the blob that the client was sent to.
	Size int64
	// Span is how many bytes the request was for, by the proxy's log: those of its range, or the whole blob. [Unknown]
	// in all other logs, and while the proxy did not know the size.
	Span      int64
	UserAgent string
	// Candidate and Reason are the proxy's decision; "" when the log does not say.
	Candidate, Reason string
	// Probe marks a request of the probe, which no client made.
	Probe bool
	// RequestID names the request at its server; "" when the log does not say. Logs are delivered at least once, so that
	// two lines may have the same.
	RequestID string
	// RID is the parameter x-rid of the query, by which the proxy's decision is found; "" when there is none. The rest of
	// the query is dropped: it may have signatures.
	RID string
	// Bucket is the bucket that was asked, in logs of buckets; on Azure account/container. "": the log does not say.
	Bucket string
	// Key is the key of the object in the bucket, escaped as in the log; "" when the request was for no object.
	Key string
	// Operation is what was asked for, in the words of the log: REST.GET.OBJECT, GET_Object, GetBlob.
	Operation string
	// Requester is who asked, in the words of the log; "" for anonymous clients. Owner is who owns the bucket.
	Requester, Owner string
	// Weight is how many requests the line stands for: more than 1 when the proxy logs a share of them.
	Weight float64
}

// reset makes r an empty record. Every line begins with it.
func (r *Record) reset() { *r = Record{Sent: Unknown, Size: Unknown, Span: Unknown, Weight: 1} }

// setTime takes a time in the layout, and reports whether text is one.
func (r *Record) setTime(layout, text string) bool {
	at, err := time.Parse(layout, text)
	r.Time = at.UTC()
	return err == nil
}

// setTarget takes host, path and x-rid from a URL, or from the target of a request.
func (r *Record) setTarget(target string) {
	target, query, _ := strings.Cut(target, "?")
	r.setQuery(query)
	if scheme, rest, ok := strings.Cut(target, "://"); ok && !strings.Contains(scheme, "/") {
		host, _, _ := strings.Cut(rest, "/")
		r.setHost(host)
		r.Path = rest[len(host):]
		return
	}
	r.Path = target
}

// maxRID is the longest x-rid that is kept, in bytes.
const maxRID = 64

// setQuery takes the parameter x-rid from a query, and nothing else.
func (r *Record) setQuery(query string) {
	for query != "" && query != "-" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if rid, ok := strings.CutPrefix(pair, "x-rid="); ok && len(rid) <= maxRID && !strings.ContainsFunc(rid, notOpaque) {
			r.RID = rid
			return
		}
	}
}

// notOpaque reports whether a character needs an escape in a query.
func notOpaque(c rune) bool {
	return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-._~", c))
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
	// To try a wrong form first costs three allocations.
	if first := strings.IndexByte(text, ':'); first < 0 || text[0] != '[' && first != strings.LastIndexByte(text, ':') {
		if addr, err := netip.ParseAddr(text); err == nil {
			r.Client = addr.Unmap().WithZone("")
			return true
		}
	} else if at, err := netip.ParseAddrPort(text); err == nil {
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
	if len(text) > 18 { // it would not fit
		return Unknown
	}
	n, ok := number(text)
	if !ok {
		return Unknown
	}
	return int64(n)
}

// number reads digits, at most 18 of them. Unlike [strconv.Atoi] it makes no error of "-", which many logs write.
func number[T string | []byte](text T) (int, bool) {
	n := 0
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
		n = 10*n + int(text[i]-'0')
	}
	return n, len(text) > 0
}
