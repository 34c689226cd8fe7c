package check

import (
	"fmt"
	"net/http"
	"strings"
)

// verdict is the result of a check for one answer.
type verdict struct {
	result Result
	detail string
	hint   string
}

func ok(format string, args ...any) verdict {
	return verdict{OK, fmt.Sprintf(format, args...), ""}
}

// These hints are used by more than one check.
const (
	hintAnonymous = "clients come without credentials: allow anonymous reads of the objects (and only of them)"
	hintPage      = "a web page would be handed out as a layer: turn off error pages, index documents and single-page fall-backs, or point url at the bucket itself"
	hintRedirect  = "put the final address into the config: a store must answer itself, and a redirect costs every client a round trip"
	hintServer    = "look at the server's own log; do not give it traffic before it answers"
	hintLimited   = "run the check again later; if it stays, ask the provider for a higher quota or set maxRPS"
	hintNetwork   = "check name, port, firewall, and that this machine may reach it"
	hintMethod    = "allow GET and HEAD for anyone: the proxy asks with HEAD and clients read with GET"
	hintReplace   = "a client would get the same 200 for any digest: the server must answer 403 or 404 for what it does not hold"
	hintNoBucket  = "check the name and the region in the URL; make the bucket, and let anyone read its objects (and only those)"
	hintAbsent    = "the server must answer 403 or 404 for what it does not hold: check bucket, path and {digest} in the URL"
)

// trouble recognises answers that are wrong for every request. When it returns false, the caller has to judge the
// status.
func trouble(ans answer) (verdict, bool) {
	failed := func(hint, format string, args ...any) (verdict, bool) {
		return verdict{Failed, fmt.Sprintf(format, args...), hint}, true
	}
	switch {
	case ans.err != nil:
		if hint := tlsHint(ans.err); hint != "" {
			return failed(hint, "%v", ans.err)
		}
		return failed(hintNetwork, "%v", ans.err)
	case ans.location != nil && looksLikeLogin(ans.location):
		return failed(hintAnonymous, "%d redirects to a login page, %s", ans.status, shown(ans.location))
	case ans.location != nil:
		return failed(hintRedirect, "%d redirects to %s", ans.status, shown(ans.location))
	case ans.status == http.StatusUnauthorized:
		return failed(hintAnonymous, "401: asks for a login")
	case ans.status == http.StatusMethodNotAllowed, ans.status == http.StatusNotImplemented:
		return failed(hintMethod, "%d: method not allowed", ans.status)
	case ans.status == http.StatusTooManyRequests:
		return failed(hintLimited, "429: rate limited")
	case ans.status >= 500:
		return failed(hintServer, "%d: server error", ans.status)
	case ans.status/100 == 2 && ans.isHTML():
		if n := len(ans.hops); n > 0 && looksLikeLogin(ans.hops[n-1].to) {
			return failed(hintAnonymous, "%d redirected to a login page, %s", ans.status, shown(ans.hops[n-1].to))
		}
		return failed(hintPage, "%d with an HTML page", ans.status)
	}
	return verdict{}, false
}

// noBucket recognises the answers by which object stores say that the bucket itself is not there, or closed to all. Their
// status alone is that of an object that is not there.
func noBucket(ans answer) (verdict, bool) {
	if ans.err != nil || ans.status/100 != 4 {
		return verdict{}, false
	}
	code := ans.header.Get("X-Ms-Error-Code")
	if _, after, found := strings.Cut(string(ans.body), "<Code>"); found && code == "" {
		code, _, _ = strings.Cut(after, "</Code>")
	}
	switch code {
	case "NoSuchBucket", "ContainerNotFound", "ResourceNotFound": // Azure says the last also of a private container
		return verdict{Failed, fmt.Sprintf("%d %s: the bucket is not there, or not public", ans.status, code), hintNoBucket}, true
	case "AllAccessDisabled", "PublicAccessNotPermitted", "UserProjectMissing", "UserProjectAccountProblem":
		return verdict{Failed, fmt.Sprintf("%d %s: the bucket is closed to anonymous clients", ans.status, code), hintAnonymous}, true
	}
	return verdict{}, false
}

// absent judges the answer to a request for a digest that does not exist.
func absent(ans answer) verdict {
	if v, bad := trouble(ans); bad {
		return v
	}
	switch ans.status {
	case http.StatusNotFound, http.StatusForbidden:
		return ok("%d", ans.status)
	case http.StatusOK, http.StatusPartialContent:
		return verdict{Failed, fmt.Sprintf("%d for a digest that does not exist", ans.status), hintReplace}
	}
	return verdict{Failed, fmt.Sprintf("%d for a digest that does not exist, want 403 or 404", ans.status), hintAbsent}
}
