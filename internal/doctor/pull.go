package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/cli"
	"ociproxy/internal/endpoints"
	"ociproxy/internal/oci"
)

const (
	maxManifest = 4 << 20 // bytes: the most that registries must accept (distribution specification, 4.4)
	maxLayer    = 8 << 20 // bytes of a layer that is read whole
	maxWhole    = 2       // blobs that are read whole
	rangeBytes  = 64 << 10
	maxHops     = 5
	maxBody     = 1 << 10 // bytes of an error that are kept
)

// errRedirect is about an address that clients refuse. Its name may be written to deceive the reader of a terminal.
var errRedirect = errors.New("it redirects to an address that clients do not follow")

// errand is a request that may be redirected, and what came of it.
type errand struct {
	what string
	q    judge.Query
	ans  judge.Answer
	url  string // that answered last
	host string // of url

	proxyStatus int // what a proxy answered in place of the host
}

// send makes a request as runtimes do, and notes every host on the way.
func (d *doctor) send(ctx context.Context, what string, q judge.Query) *errand {
	e := &errand{what: what, q: q, url: q.URL}
	e.ans = d.asker.Ask(ctx, q)
	for _, hop := range e.ans.Hops {
		if !followed(hop.To) {
			e.ans.Err = errRedirect
			break
		}
		e.url = hop.To.String()
		d.found(hop.To)
	}
	if to := e.ans.Location; to != nil && strings.HasPrefix(e.url, "https:") && to.Scheme != "https" {
		e.ans.Err = errRedirect
	}
	if u, err := url.Parse(e.url); err == nil {
		e.host = hostOf(u)
	}
	return e
}

// followed reports whether clients follow a redirect.
func followed(to *url.URL) bool {
	return (to.Scheme == "https" || to.Scheme == "http") && to.User == nil && validHost(strings.ToLower(to.Hostname()))
}

func hostOf(u *url.URL) string { return shown(u.Hostname(), portOf(u), u.Scheme == "http") }

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "http":
		return "80"
	}
	return "443"
}

// note adds a row about an errand.
func (d *doctor) note(e *errand, fault Fault, v judge.Verdict) {
	t := &Try{Host: e.host, What: e.what, Result: v.Result, Fault: fault, Detail: cli.OneLine(v.Detail), Status: e.ans.Status, Took: e.ans.Took, url: clean(e.url)}
	if e.proxyStatus != 0 {
		t.Status = e.proxyStatus
	}
	t.body = e.ans.Body[:min(len(e.ans.Body), maxBody)]
	t.dated(e.ans.Header)
	d.facts.Reads = append(d.facts.Reads, t)
}

// clean returns a URL without its query, which may have a signature.
func clean(text string) string {
	before, _, _ := strings.Cut(text, "?")
	return before
}

// failed notes an errand whose answer is wrong for every request, and reports whether it is.
func (d *doctor) failed(e *errand) bool {
	fault := noFault
	detail := fmt.Sprintf("%d", e.ans.Status)
	switch s := e.ans.Status; {
	case errors.Is(e.ans.Err, errRedirect):
		fault, detail = badAnswer, errRedirect.Error()
	case e.ans.Err != nil:
		fault, e.proxyStatus = asking(e.ans.Err)
		detail = reason(e.ans.Err)
	case isPage(e.ans):
		fault, detail = webPage, fmt.Sprintf("%d with a web page", s)
	case s == http.StatusUnauthorized:
		fault, detail = wantsLogin, "401: asks for a login"
	case s == http.StatusTooManyRequests:
		fault, detail = limited, "429: too many requests"
	case s >= http.StatusInternalServerError:
		fault, detail = broken, fmt.Sprintf("%d %s", s, http.StatusText(s))
	case e.ans.Location != nil:
		fault, detail = badAnswer, "more redirects than a client follows"
	}
	if fault == noFault {
		return false
	}
	d.note(e, fault, judge.Fail("", "%s", detail))
	return true
}

// ping asks whether the registry speaks the registry's protocol.
func (d *doctor) ping(ctx context.Context) bool {
	e := d.send(ctx, "api", judge.Query{Method: http.MethodGet, URL: d.target.base() + "/v2/", Max: 4 << 10, Redirects: maxHops})
	if d.failed(e) {
		return false
	}
	if e.ans.Status == http.StatusOK {
		d.note(e, noFault, judge.Good("200"))
	} else {
		d.note(e, badAnswer, judge.Fail("", "%d to /v2/: this is no registry", e.ans.Status))
	}
	return e.ans.Status == http.StatusOK
}

// list reads the published list of hosts.
func (d *doctor) list(ctx context.Context) []endpoints.Endpoint {
	e := d.send(ctx, "list", judge.Query{Method: http.MethodGet, URL: d.target.base() + endpoints.Path, Max: endpoints.MaxBytes})
	if e.ans.Err != nil || e.ans.Status != http.StatusOK {
		d.note(e, noFault, judge.Note("the registry publishes no list of hosts"))
		return nil
	}
	all, err := readList(e.ans.Body)
	if err != nil {
		d.note(e, noFault, judge.Note("the published list of hosts cannot be read: %v", err))
		return nil
	}
	d.note(e, noFault, judge.Good("%d hosts published", len(all)))
	return all
}

// discover asks for a layer that does not exist, to see where the registry sends clients.
func (d *doctor) discover(ctx context.Context) {
	e := d.send(ctx, "redirect", judge.Query{
		Method: http.MethodHead, URL: d.target.base() + "/v2/oci-doctor/none/blobs/" + judge.MadeUp(), Redirects: maxHops,
	})
	if e.ans.Status == http.StatusUnauthorized && len(e.ans.Hops) > 0 {
		e.ans.Status = http.StatusNotFound // so say registries of a repository that is not there
	}
	if d.failed(e) {
		return
	}
	d.note(e, noFault, judge.Note("%d to a layer that does not exist", e.ans.Status))
}

// pull reads an image as a runtime does: a manifest, the smallest layers, and parts of one.
func (d *doctor) pull(ctx context.Context) {
	doc, ok := d.manifest(ctx, d.target.Image.Reference())
	if ok && len(doc.Manifests) > 0 {
		child, err := doc.Child()
		if err != nil {
			return
		}
		doc, ok = d.manifest(ctx, child.String())
	}
	if !ok || doc.Config == nil {
		return
	}
	blobs := doc.Blobs()
	for i, b := range first(blobs, maxWhole) {
		if !d.blob(ctx, b, i == len(first(blobs, maxWhole))-1) {
			return
		}
		d.facts.Layer = d.facts.Layer || b.Size <= maxLayer
	}
}

func (d *doctor) path(kind, reference string) string {
	return d.target.base() + "/v2/" + d.target.Image.Name + "/" + kind + "/" + reference
}

func (d *doctor) manifest(ctx context.Context, reference string) (doc judge.Document, ok bool) {
	e := d.send(ctx, "manifest", judge.Query{
		Method: http.MethodGet, URL: d.path("manifests", reference), Max: maxManifest, Redirects: maxHops,
		Header: map[string]string{"Accept": judge.Accept},
	})
	if d.failed(e) {
		return doc, false
	}
	if e.ans.Status != http.StatusOK {
		d.note(e, noImage, judge.Fail("", "%d for the manifest %s", e.ans.Status, reference))
		return doc, false
	}
	if want, err := oci.ParseDigest(reference); err == nil && judge.Sum(want, e.ans.Body) != want {
		d.note(e, changed, judge.Fail("", "the bytes of the manifest do not match its digest"))
		return doc, false
	}
	doc, err := judge.ParseManifest(e.ans.Body)
	if err != nil {
		d.note(e, badAnswer, judge.Fail("", "%v", err))
		return doc, false
	}
	d.note(e, noFault, judge.Good("%.26s", reference))
	return doc, true
}

// blob reads a layer, and parts of it when it is the last one.
func (d *doctor) blob(ctx context.Context, b judge.Blob, last bool) bool {
	q := judge.Query{Method: http.MethodGet, URL: d.path("blobs", b.Digest.String()), Max: max(b.Size, maxBody), Redirects: maxHops}
	if b.Size > maxLayer {
		q.Method, q.Max = http.MethodHead, 0
	}
	e := d.send(ctx, "layer", q)
	if d.failed(e) {
		return false
	}
	fault, verdict := noFault, judge.Whole(e.ans, b)
	if b.Size > maxLayer {
		verdict = judge.Head(e.ans, b)
	}
	if verdict.Result == judge.Failed {
		fault = layerFault(e.ans)
	}
	d.note(e, fault, verdict)
	if fault != noFault {
		return false
	}
	if last {
		return d.parts(ctx, e.url, b, e.ans.Body)
	}
	return true
}

func layerFault(ans judge.Answer) Fault {
	switch {
	case ans.Status == http.StatusForbidden:
		return denied
	case ans.Status == http.StatusOK:
		return changed // length, encoding or digest
	}
	return missing
}

// parts reads two ranges where the layer came from. It does not ask the registry again: a second request for a layer
// looks like a download that failed, and may lead elsewhere.
func (d *doctor) parts(ctx context.Context, from string, b judge.Blob, content []byte) bool {
	if int64(len(content)) != b.Size {
		content = nil
	}
	for _, r := range []struct {
		span judge.Span
		open bool
	}{
		{judge.Span{From: b.Size / 2, To: min(b.Size/2+rangeBytes, b.Size) - 1}, false},
		{judge.Span{From: max(b.Size-rangeBytes, b.Size/3), To: b.Size - 1}, true},
	} {
		e := d.send(ctx, "range", judge.Query{
			Method: http.MethodGet, URL: from, Max: min(r.span.To-r.span.From+1, rangeBytes),
			Header: map[string]string{"Range": r.span.Header(r.open)},
		})
		if d.failed(e) {
			return false
		}
		verdict, fault := judge.Ranged(e.ans, b, r.span, content), noFault
		if verdict.Result == judge.Failed {
			fault = badRange
		}
		d.note(e, fault, verdict)
		if fault != noFault {
			return false
		}
	}
	return true
}
