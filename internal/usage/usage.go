package usage

import (
	"fmt"
	"net/netip"
	"strings"

	"ociproxy/internal/accesslog"
	"ociproxy/internal/config"
	"ociproxy/internal/oci"
	"ociproxy/internal/place"
	"ociproxy/internal/ranges"
	"ociproxy/internal/traffic"
)

// Locator finds the place of an address. [ranges.Ranges] is one.
type Locator interface {
	Locate(netip.Addr) ranges.Client
}

// Options are what [New] takes besides the config. All fields may be zero.
type Options struct {
	// Own are the operator's principals, as the logs write them: ARNs of roles and users, object ids of Azure. An entry
	// that ends in * is the beginning of a name. The account that owns a store is always the operator's.
	Own []string
	// Hosts names the store of hosts that the config does not have, such as the own name of a CloudFront distribution.
	Hosts map[string]string
	// Store names the store of all lines that say neither host nor bucket.
	Store string
}

// Use is what one line of a log counts for.
type Use struct {
	traffic.Row
	// Digest is the digest of the blob, sha256:…; "" when the request was for no blob.
	Digest string
	// RequestID names the request; "" when the log does not say. Lines of one store with the same RequestID are the same
	// request, if they are less than an hour apart.
	RequestID string
	// RID is the opaque id by which the proxy marked the redirect; "" when there is none.
	RID string
	// Unsized says that the line does not tell the bytes of a download: the request counts, its bytes do not.
	Unsized bool
}

// Classifier classifies records. It is immutable, and safe for concurrent use when its [Locator] is.
type Classifier struct {
	where Locator
	sites sites
	own   []string
	cdns  map[string]bool // clouds that are CDNs
	// places are those of the map by name: to parse a name takes as long as to parse half a line of a log.
	places map[string]place.Place
}

// New makes a classifier for the stores of cfg. The error says which of the options do not fit the config. where may be
// nil: then no client has a place.
func New(cfg *config.Config, where Locator, opt Options) (*Classifier, error) {
	c := &Classifier{where: where, own: opt.Own, cdns: map[string]bool{}, places: map[string]place.Place{}}
	for _, s := range cfg.Map().Sites() {
		c.places[s.Place.String()] = s.Place
		c.places[s.Place.Cloud] = place.Place{Cloud: s.Place.Cloud} // of clients whose region is not known
	}
	for _, name := range place.CDNs() {
		c.cdns[name] = true
	}
	var err error
	c.sites, err = newSites(cfg, &opt)
	return c, err
}

// Count returns what a record counts for. When it counts for nothing it adds it to left, and returns false.
func (c *Classifier) Count(rec *accesslog.Record, left *Left) (Use, bool) {
	use, why := c.Classify(rec)
	switch {
	case why.Reason != "":
		left.Add(why, rec)
		return Use{}, false
	case use.Unsized:
		left.Add(Why{NoBytes, use.Store}, rec)
	}
	return use, true
}

// Classify returns what a record counts for. A reason that is not empty says why it counts for nothing. The texts of the
// result may be parts of those of the record: clone them to keep them.
func (c *Classifier) Classify(rec *accesslog.Record) (use Use, why Why) {
	if rec.Time.IsZero() {
		return Use{}, Why{Reason: NoTime}
	}
	if rec.Format == accesslog.Proxy {
		use, why = c.proxied(rec)
	} else {
		use, why = c.stored(rec)
	}
	if why.Reason != "" {
		return Use{}, why
	}
	use.Day = traffic.DayOf(rec.Time)
	use.RID = rec.RID
	use.Requests, use.Lines = rec.Weight, 1
	use.Squares = use.Bytes * use.Bytes
	return use, Why{}
}

// proxied counts a line of the proxy's own log: a blob for which a client was sent to a store or upstream.
func (c *Classifier) proxied(rec *accesslog.Record) (Use, Why) {
	req, err := oci.Parse(rec.Path, "")
	site := c.sites.names[rec.Candidate]
	switch {
	case rec.Probe:
		return Use{}, Why{Reason: Probe}
	case err != nil || req.Kind != oci.KindBlob:
		return Use{}, Why{Reason: NotABlob}
	case rec.Status != 302 && rec.Status != 307 && rec.Status != 308:
		return Use{}, Why{Reason: Refused, Name: statusName(rec.Status)}
	case site == nil:
		return Use{}, Why{UnknownStore, rec.Candidate}
	}
	use := Use{Digest: req.Digest.String(), RequestID: rec.RequestID}
	use.Source, use.Class, use.Store, use.Reason, use.Repository = traffic.FromProxy, traffic.Client, site.name, rec.Reason, req.Name
	use.Operation = operationOf(rec)
	if use.Operation == traffic.Get {
		use.Unsized = rec.Span < 0
		use.Bytes = rec.Weight * float64(max(rec.Span, 0))
	}
	use.Client = c.locate(rec)
	if rec.Place != "" && (rec.Network || use.Client.IsZero()) {
		use.Client = c.logged(rec.Place) // of a network only: the proxy knew the whole address
	}
	return use, Why{}
}

// stored counts a line of a store's log, or of a CDN's.
func (c *Classifier) stored(rec *accesslog.Record) (Use, Why) {
	site, why := c.sites.of(rec)
	if site == nil {
		return Use{}, why
	}
	if unbilled(rec) {
		return Use{}, Why{Refused, statusName(rec.Status)}
	}
	use := Use{Digest: digestOf(rec)}
	use.Source, use.Store, use.Operation = traffic.FromStore, site.name, operationOf(rec)
	use.Bytes = rec.Weight * float64(max(rec.Sent, 0))
	use.Unsized = rec.Sent < 0 && use.Operation == traffic.Get
	if public(rec.Client) {
		use.Client = c.locate(rec)
	} else if ofBucket(rec) {
		use.Client = site.place // through an endpoint of the provider's network, or the provider itself
	}
	use.Class = c.classOf(rec, site, &use)
	if use.Class == traffic.Copy && use.Operation != traffic.CopyOf && use.Operation != traffic.Put {
		// The source's bytes go to another bucket, not to whoever asked for the copy. No log says where that bucket is.
		use.Client = place.Place{Cloud: site.place.Cloud}
	}
	if use.RequestID = rec.RequestID; use.Class == traffic.Copy || use.Operation == traffic.Delete {
		use.RequestID += " " + rec.Operation + " " + rec.Key // one request has several lines
	}
	return use, Why{}
}

// ofBucket reports whether a bucket wrote the line, and not a CDN.
func ofBucket(rec *accesslog.Record) bool { return rec.Format.OfBuckets() || rec.Bucket != "" }

func (c *Classifier) locate(rec *accesslog.Record) place.Place {
	if c.where == nil || !rec.Client.IsValid() {
		return place.Place{}
	}
	return c.where.Locate(rec.Client).Place
}

// logged returns a place of which the proxy's log has the name.
func (c *Classifier) logged(name string) place.Place {
	if at, ok := c.places[name]; ok {
		return at
	}
	at, _ := place.Parse(name) // zero: not known
	return at
}

// carrier is what providers and operators use between customers and the internet (RFC 6598). Azure shows it for clients
// of its own network.
var carrier = netip.MustParsePrefix("100.64.0.0/10")

// public reports whether an address is one of the internet.
func public(a netip.Addr) bool {
	return a.IsValid() && !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !carrier.Contains(a)
}

// unbilled reports whether a bucket's provider bills nothing for an answer: its own errors, what AWS refuses to
// strangers or sends to another region, all errors of Google. Their bytes are those of an error text.
//
// Amazon: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ErrorCodeBilling.html
// Google: https://cloud.google.com/storage/pricing, the note on operations: "307, 4xx, or 5xx"
// Azure: https://learn.microsoft.com/rest/api/storageservices/storage-analytics-logged-operations-and-status-messages,
// except ClientTimeoutError, which is billed
func unbilled(rec *accesslog.Record) bool {
	switch rec.Format {
	case accesslog.S3:
		return rec.Status >= 500 || rec.Status == 301 || rec.Status == 307 || rec.Status == 403 && rec.Requester == ""
	case accesslog.GCS:
		return rec.Status >= 400 || rec.Status == 307
	case accesslog.Azure:
		return rec.Status >= 500
	default:
		return false
	}
}

func statusName(status int) string { return fmt.Sprintf("status %d", status) }

// digestOf returns the digest in the last segment of the path, or of the key, in which a log escapes the colon once or
// twice.
func digestOf(rec *accesslog.Record) string {
	for _, text := range []string{rec.Path, rec.Key} {
		last := text[strings.LastIndexByte(text, '/')+1:]
		algorithm, rest := last, ""
		for i := range len(last) {
			if last[i] == ':' || last[i] == '%' {
				algorithm, rest = last[:i], last[i:]
				break
			}
		}
		for _, colon := range []string{":", "%3A", "%3a", "%253A", "%253a"} {
			encoded, ok := strings.CutPrefix(rest, colon)
			if !ok {
				continue
			}
			if colon != ":" {
				last = algorithm + ":" + encoded
			}
			if d, err := oci.ParseDigest(last); err == nil && d.InStores() {
				return d.String()
			}
		}
	}
	return ""
}

// names of the operator's programs, which begin all their requests with one of these. AWS's library signs requests with
// the operator's principal, and Google's logs do not say the principal.
var ownAgents = []string{"oci-proxy", "gcloud-golang-storage/"}

// classOf says for whom a request was made.
func (c *Classifier) classOf(rec *accesslog.Record, site *site, use *Use) traffic.Class {
	op := use.Operation
	read := op == traffic.Get || op == traffic.Head
	switch {
	case ofLifecycle(rec):
		return traffic.Lifecycle
	case op == traffic.CopyOf || ofCopy(rec):
		return traffic.Copy
	case !read && (rec.Requester != "" || rec.Format == accesslog.GCS), c.isOwn(rec, site):
		return traffic.Own
	case read && ofBucket(rec) && (site.edge || ofCDN(rec) || c.cdns[use.Client.Cloud]):
		return traffic.Origin
	case ofBucket(rec) && !public(rec.Client):
		return traffic.Endpoint
	}
	return traffic.Client
}

// ofCopy reports whether a line is the read of a copy's source, for which S3 and Azure write a line of its own, or S3
// replicated an object.
func ofCopy(rec *accesslog.Record) bool {
	return rec.Operation == s3CopySource || rec.Operation == azureCopySource || strings.HasSuffix(rec.Requester, "/s3-replication")
}

func ofLifecycle(rec *accesslog.Record) bool {
	switch rec.Format {
	case accesslog.S3:
		return strings.HasPrefix(rec.Operation, "S3.")
	case accesslog.GCS:
		return rec.UserAgent == "GCS Lifecycle Management"
	case accesslog.Azure:
		return rec.UserAgent == "OLCMScanner" || rec.UserAgent == "ObjectLifeCycleScanner"
	default:
		return false
	}
}

func (c *Classifier) isOwn(rec *accesslog.Record, site *site) bool {
	for _, agent := range ownAgents {
		if strings.HasPrefix(rec.UserAgent, agent) {
			return true
		}
	}
	who := rec.Requester
	switch {
	case who == "":
		return false
	case rec.Format == accesslog.Azure, who == rec.Owner:
		return true // at Azure, only those who have a right in the account can log in
	case site.owner != "" && strings.HasPrefix(who, "arn:") && strings.Contains(who, ":"+site.owner+":"):
		return true
	}
	for _, own := range c.own {
		if beginning, ok := strings.CutSuffix(own, "*"); ok && strings.HasPrefix(who, beginning) || who == own {
			return true
		}
	}
	return false
}

// ofCDN reports whether a CDN that says who it is read from a bucket: CloudFront, Google's. Others are known by their
// addresses, if the config has a feed of these, or because the bucket is only there for the CDN.
func ofCDN(rec *accesslog.Record) bool {
	return rec.UserAgent == "Amazon CloudFront" || rec.UserAgent == "Cloud-CDN-Google" ||
		rec.Requester == "svc:cloudfront.amazonaws.com" || strings.HasPrefix(rec.Requester, "arn:aws:iam::cloudfront:")
}

// operationOf says what a request did, as prices distinguish it.
func operationOf(rec *accesslog.Record) traffic.Operation {
	switch rec.Format {
	case accesslog.S3:
		return s3Operation(rec.Operation)
	case accesslog.GCS:
		return gcsOperation(rec.Operation)
	case accesslog.Azure:
		return azureOperation(rec.Operation)
	default:
		return httpOperation(rec.Method)
	}
}

// httpOperation reads a method of HTTP. A declared log without methods has downloads.
func httpOperation(method string) traffic.Operation {
	switch method {
	case "GET", "":
		return traffic.Get
	case "HEAD":
		return traffic.Head
	}
	return traffic.Other
}
