package judge

import (
	"fmt"
	"net/http"
	"strings"
)

// Verdict is the result of a check for one answer.
type Verdict struct {
	Result Result
	Detail string
	Hint   string
}

// Good is the verdict on an answer that is right.
func Good(format string, args ...any) Verdict {
	return Verdict{OK, fmt.Sprintf(format, args...), ""}
}

// Note is a verdict that is worth knowing and asks for nothing.
func Note(format string, args ...any) Verdict {
	return Verdict{Info, fmt.Sprintf(format, args...), ""}
}

// Warn is a verdict on an answer that works, with a disadvantage.
func Warn(hint, format string, args ...any) Verdict {
	return Verdict{Warning, fmt.Sprintf(format, args...), hint}
}

// Fail is a verdict on an answer that would harm a client.
func Fail(hint, format string, args ...any) Verdict {
	return Verdict{Failed, fmt.Sprintf(format, args...), hint}
}

// These hints are used by more than one check.
const (
	HintAnonymous = "clients come without credentials: allow anonymous reads of the objects (and only of them)"
	hintPage      = "a web page would be handed out as a layer: turn off error pages, index documents and single-page fall-backs, or point url at the bucket itself"
	HintRedirect  = "put the final address into the config: a store must answer itself, and a redirect costs every client a round trip"
	hintServer    = "look at the server's own log; do not give it traffic before it answers"
	hintLimited   = "run the check again later; if it stays, ask the provider for a higher quota or set maxRPS"
	HintNetwork   = "check name, port, firewall, and that this machine may reach it"
	hintMethod    = "allow GET and HEAD for anyone: the proxy asks with HEAD and clients read with GET"
	hintReplace   = "a client would get the same 200 for any digest: the server must answer 403 or 404 for what it does not hold"
	hintNoBucket  = "check the name and the region in the URL; make the bucket, and let anyone read its objects (and only those)"
	HintAbsent    = "the server must answer 403 or 404 for what it does not hold: check bucket, path and {digest} in the URL"
)

// Trouble recognises answers that are wrong for every request. When it returns false, the caller has to judge the
// status.
func Trouble(ans Answer) (Verdict, bool) {
	failed := func(hint, format string, args ...any) (Verdict, bool) {
		return Verdict{Failed, fmt.Sprintf(format, args...), hint}, true
	}
	switch {
	case ans.Err != nil:
		if hint := TLSHint(ans.Err); hint != "" {
			return failed(hint, "%v", ans.Err)
		}
		return failed(HintNetwork, "%v", ans.Err)
	case ans.Location != nil && looksLikeLogin(ans.Location):
		return failed(HintAnonymous, "%d redirects to a login page, %s", ans.Status, shown(ans.Location))
	case ans.Location != nil:
		return failed(HintRedirect, "%d redirects to %s", ans.Status, shown(ans.Location))
	case ans.Status == http.StatusUnauthorized:
		return failed(HintAnonymous, "401: asks for a login")
	case ans.Status == http.StatusMethodNotAllowed, ans.Status == http.StatusNotImplemented:
		return failed(hintMethod, "%d: method not allowed", ans.Status)
	case ans.Status == http.StatusTooManyRequests:
		return failed(hintLimited, "429: rate limited")
	case ans.Status >= 500:
		return failed(hintServer, "%d: server error", ans.Status)
	case ans.Status/100 == 2 && ans.IsHTML():
		if n := len(ans.Hops); n > 0 && looksLikeLogin(ans.Hops[n-1].To) {
			return failed(HintAnonymous, "%d redirected to a login page, %s", ans.Status, shown(ans.Hops[n-1].To))
		}
		return failed(hintPage, "%d with an HTML page", ans.Status)
	}
	return Verdict{}, false
}

// NoBucket recognises the answers by which object stores say that the bucket itself is not there, or closed to all. Their
// status alone is that of an object that is not there.
func NoBucket(ans Answer) (Verdict, bool) {
	if ans.Err != nil || ans.Status/100 != 4 {
		return Verdict{}, false
	}
	code := ans.Header.Get("X-Ms-Error-Code")
	if _, after, found := strings.Cut(string(ans.Body), "<Code>"); found && code == "" {
		code, _, _ = strings.Cut(after, "</Code>")
	}
	switch code {
	case "NoSuchBucket", "ContainerNotFound", "ResourceNotFound": // Azure says the last also of a private container
		return Verdict{Failed, fmt.Sprintf("%d %s: the bucket is not there, or not public", ans.Status, code), hintNoBucket}, true
	case "AllAccessDisabled", "PublicAccessNotPermitted", "UserProjectMissing", "UserProjectAccountProblem":
		return Verdict{Failed, fmt.Sprintf("%d %s: the bucket is closed to anonymous clients", ans.Status, code), HintAnonymous}, true
	}
	return Verdict{}, false
}

// Absent judges the answer to a request for a digest that does not exist.
func Absent(ans Answer) Verdict {
	if v, bad := Trouble(ans); bad {
		return v
	}
	switch ans.Status {
	case http.StatusNotFound, http.StatusForbidden:
		return Good("%d", ans.Status)
	case http.StatusOK, http.StatusPartialContent:
		return Verdict{Failed, fmt.Sprintf("%d for a digest that does not exist", ans.Status), hintReplace}
	}
	return Verdict{Failed, fmt.Sprintf("%d for a digest that does not exist, want 403 or 404", ans.Status), HintAbsent}
}
