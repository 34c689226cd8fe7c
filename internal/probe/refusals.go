package probe

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/strictjson"
)

// refusals asks for what is not there and what is not allowed.
func (s *session) refusals(ctx context.Context, name string) {
	s.unknown(ctx, "unknown.digest", http.MethodHead, "/v2/"+name+"/blobs/"+judge.MadeUp())
	s.unknown(ctx, "unknown.digest", http.MethodGet, manifestPath(name, judge.MadeUp()))
	s.unknown(ctx, "unknown.tag", http.MethodGet, manifestPath(name, "oci-proxy-probe-"+random()))
	s.unknown(ctx, "unknown.repository", http.MethodGet, manifestPath("oci-proxy-probe/"+random(), "latest"))
	s.refused(ctx, "method", http.MethodPost, "/v2/"+name+"/blobs/uploads/")
	s.refused(ctx, "catalog", http.MethodGet, "/v2/_catalog")
	for _, path := range []string{
		"/v2/" + name + "/../../etc/passwd",
		"/v2/" + name + "/%2e%2e/%2e%2e/manifests/latest",
		"/v2//" + name + "/manifests/latest",
		"/v2/" + name + "/blobs/..%2f..%2f",
		"/v2/" + name + "/manifests/%00",
	} {
		s.refused(ctx, "path", http.MethodGet, path)
	}
}

func random() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// unknown asks for content that does not exist: 404, with an error of the specification where there is a body.
func (s *session) unknown(ctx context.Context, id, method, path string) {
	began := s.meter.begin(ctx)
	ans := s.follow(ctx, method, path, 64<<10, acceptHeader)
	if s.spent(ctx, id, "", s.base, ans.Err) {
		return
	}
	v, bad := judge.Trouble(ans)
	switch {
	case bad && ans.Status == http.StatusUnauthorized: // several registries say so for a repository that is not there
		v = judge.Warn("runtimes then ask for a token and report a login fault instead of a missing image", "401 to %s", what(id))
	case bad:
	case ans.Status == http.StatusForbidden && id == "unknown.repository":
		v = judge.Note("403 to %s: the registry does not tell whether it is there", what(id))
	case ans.Status != http.StatusNotFound && ans.Status != http.StatusForbidden:
		v = judge.Fail("the registry, or the store that the proxy redirects to, must answer 404", "%d to %s, want 404", ans.Status, what(id))
	case method == http.MethodGet && ans.Status == http.StatusNotFound && len(ans.Hops) == 0 && !isError(ans.Body):
		v = judge.Warn("a front answers instead of the registry: let it pass the registry's errors on",
			"404 to %s, but the body is not an error of the specification", what(id))
	default:
		v = judge.Good("%d to %s", ans.Status, what(id))
	}
	s.say(id, "", s.base, began, v)
}

func what(id string) string {
	switch id {
	case "unknown.tag":
		return "a tag that does not exist"
	case "unknown.repository":
		return "a repository that does not exist"
	}
	return "a digest that does not exist"
}

// isError reports whether a body is an error of the OCI distribution specification.
func isError(body []byte) bool {
	var e struct {
		Errors []struct {
			Code string `json:"code"`
		} `json:"errors"`
	}
	return strictjson.Unmarshal(body, &e, strictjson.Bounds{}) == nil && len(e.Errors) > 0 && e.Errors[0].Code != ""
}

// refused asks for what a read-only registry must refuse with 4xx.
func (s *session) refused(ctx context.Context, id, method, path string) {
	began := s.meter.begin(ctx)
	ans := s.registry(ctx, method, path, 64<<10, nil)
	if s.spent(ctx, id, "", s.base, ans.Err) {
		return
	}
	v := judge.Good("%d to %s %s", ans.Status, method, path)
	switch {
	case ans.Err != nil:
		v = judge.Fail(judge.HintNetwork, "%s %s: %v", method, path, ans.Err)
	case ans.Status/100 == 4:
	case ans.Status >= 500:
		v = judge.Fail("a request that is refused must not end in a server error: look at the log of the front and the proxy",
			"%d to %s %s, want 4xx", ans.Status, method, path)
	default:
		v = judge.Fail("let only GET and HEAD below /v2/ through to what the proxy answers, and nothing else to a registry behind it",
			"%d to %s %s, want 4xx", ans.Status, method, path)
	}
	s.say(id, "", s.base, began, v)
}
