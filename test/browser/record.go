package browser

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
)

// Request is one request of a page.
type Request struct {
	Method, URL, Kind string // Kind is Document, Stylesheet, Script, EventSource and so on
	Status            int    // 0: no answer
	Bytes             int    // of the answer as they came over the network, with its header; 0 while it is not complete
	Failed            string // why there is no answer
}

// record is what one page did.
type record struct {
	begun bool

	mu         sync.Mutex
	requests   map[network.RequestID]*Request
	order      []*Request
	complaints []string
	events     int
}

// event is called for each event of the page, in order.
func (r *record) event(ev any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch ev := ev.(type) {
	case *network.EventRequestWillBeSent:
		q := &Request{Method: ev.Request.Method, URL: ev.Request.URL, Kind: string(ev.Type)}
		r.requests[ev.RequestID] = q // a redirect has the same ID as what it redirects
		r.order = append(r.order, q)
	case *network.EventWebSocketCreated:
		r.order = append(r.order, &Request{Method: "GET", URL: ev.URL, Kind: "WebSocket"})
	case *network.EventResponseReceived:
		if q := r.requests[ev.RequestID]; q != nil {
			q.Status = int(ev.Response.Status)
		}
	case *network.EventLoadingFinished:
		if q := r.requests[ev.RequestID]; q != nil {
			q.Bytes = int(ev.EncodedDataLength)
		}
	case *network.EventLoadingFailed:
		if q := r.requests[ev.RequestID]; q != nil {
			q.Failed = ev.ErrorText + " " + string(ev.BlockedReason)
		}
	case *network.EventEventSourceMessageReceived:
		r.events++
	case *log.EventEntryAdded:
		if e := ev.Entry; e.Level == log.EntryLevelError || e.Level == log.EntryLevelWarning || e.Source == log.EntrySourceSecurity {
			r.complain("log", "%s: %s %s", e.Source, e.Text, e.URL)
		}
	case *runtime.EventConsoleAPICalled:
		if ev.Type == runtime.ConsoleAPICalledTypeError || ev.Type == runtime.ConsoleAPICalledTypeWarning || ev.Type == runtime.ConsoleAPICalledTypeAssert {
			r.complain("console", "%s: %s", ev.Type, said(ev.Args))
		}
	case *runtime.EventExceptionThrown:
		text := ev.ExceptionDetails.Text
		if o := ev.ExceptionDetails.Exception; o != nil {
			text += " " + o.Description
		}
		r.complain("exception", "%s", text)
	case *audits.EventIssueAdded:
		if d := ev.Issue.Details.ContentSecurityPolicyIssueDetails; d != nil {
			r.complain("policy", "%s blocks %q (%s)", d.ViolatedDirective, d.BlockedURL, d.ContentSecurityPolicyViolationType)
		}
	}
}

func (r *record) complain(about, format string, args ...any) {
	r.complaints = append(r.complaints, about+": "+fmt.Sprintf(format, args...))
}

func said(args []*runtime.RemoteObject) string {
	var words []string
	for _, a := range args {
		words = append(words, a.Description+string(a.Value))
	}
	return strings.Join(words, " ")
}

// Complaints returns what the browser complained about so far: errors and warnings of its log and of the page's console,
// exceptions, and violations of the content security policy.
func (r *record) Complaints() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.complaints)
}

// Requests returns what the page asked for so far, in order.
func (r *record) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Request
	for _, q := range r.order {
		all = append(all, *q)
	}
	return all
}

// Events returns how many server-sent events the page got so far.
func (r *record) Events() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events
}
