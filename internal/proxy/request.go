package proxy

import (
	"net/http"
	"net/netip"
	"strings"

	"ociproxy/internal/clientip"
	"ociproxy/internal/oci"
	"ociproxy/internal/probeid"
	"ociproxy/internal/reach"
	"ociproxy/internal/route"
)

// request is what a client asks for, and which client it is. Nothing in it changes after parsing. A probe's client is
// the one that it claims to be.
type request struct {
	class class
	oci.Request
	get    bool // GET; false: HEAD
	client route.Client
	source clientip.Source
	known  bool       // the client is known: an API request within its name's limit
	peer   netip.Addr // who sent it, and pays for what it costs; the client, unless this is a probe
	probe  probeid.Verdict
	// peek: the request is a question and no download. It changes nothing that is known about clients.
	peek bool
	span reach.Span // of a blob
}

// class is the metric label of a request.
type class uint8

const (
	classBase class = iota
	classBlob
	classManifest
	classTag
	classReferrers
	classTags
	classPage
	classProbe
	classInvalid
	numClasses
)

var classNames = [numClasses]string{"base", "blob", "manifest", "tag", "referrers", "tags", "page", "probe", "invalid"}

func classOf(k oci.Kind) class { return class(k) } // the same order, asserted by a test

// parse reads the method, the path and the client's address of r into q. The error is an [*oci.Error]. A path outside
// the registry API is a page, which only this package handles.
func (w *wiring) parse(r *http.Request, q *request) error {
	q.class = classInvalid
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return oci.ErrMethod
	}
	q.get = r.Method == http.MethodGet
	path := r.URL.EscapedPath()
	if !strings.HasPrefix(path, "/v2") {
		q.class = classPage
		return nil
	}
	req, err := oci.Parse(path, r.URL.RawQuery)
	if err != nil {
		return err
	}
	q.Request, q.class = req, classOf(req.Kind)
	addr, source := w.address.From(r.RemoteAddr, r.Header)
	q.source, q.peer = source, addr
	if q.probed() {
		addr = q.probe.Client
	}
	if req.Kind == oci.KindBase {
		q.client.Addr, q.known = addr, true
		return nil
	}
	q.client = w.client(addr, w.ranges.Locate(addr))
	if n := w.name(r.Host); n != nil {
		q.client.Confined = n.confined
		if n.limit != nil && !q.probed() && !n.limit.Allow() {
			n.limited.Inc()
			return oci.ErrTooManyRequests
		}
	}
	if req.Kind == oci.KindBlob {
		q.span = reach.ParseSpan(r.Header["Range"])
	}
	q.known = true
	return nil
}
