package proxy

import (
	"encoding/json"
	"net/http"
	"strings"

	"ociproxy/internal/endpoints"
	"ociproxy/internal/oci"
	"ociproxy/internal/route"
)

// page answers requests outside the registry API: pages for people and probes of platforms.
func (s *Server) page(w *wiring, r *http.Request, q *request) response {
	path := r.URL.EscapedPath()
	if page, ok := strings.CutSuffix(path, "/"); ok && len(page) > 1 {
		path = page // people add a slash
	}
	var a response
	switch path {
	case endpoints.Path, endpoints.AtomPath, endpoints.SignedPath:
		a = w.listsOf(r.Host).answer(path, r.Header["If-None-Match"])
	case "/":
		a = pageAt(w.cfg.Pages.Home)
	case "/privacy":
		a = pageAt(w.cfg.Pages.Privacy)
	case "/-/live":
		q.class, a = classProbe, probe(true)
	case "/-/ready":
		q.class, a = classProbe, probe(s.ready())
	case "/-/whoami":
		q.class, a = classProbe, w.whoami(r)
	default:
		a = refusal(oci.ErrUnsupported)
	}
	if a.err != nil {
		q.class = classInvalid
	}
	return a
}

func pageAt(url string) response {
	if url == "" {
		return refusal(oci.ErrUnsupported)
	}
	return response{status: http.StatusTemporaryRedirect, location: url, by: route.NoCandidate}
}

func probe(ok bool) response {
	if !ok {
		return response{status: http.StatusServiceUnavailable, body: []byte("not ready\n"), by: route.NoCandidate}
	}
	return response{status: http.StatusOK, body: []byte("ok\n"), by: route.NoCandidate}
}

// whoami shows a client how this server sees it. Operators use it to verify `client.behind`.
func (w *wiring) whoami(r *http.Request) response {
	if !w.cfg.Client.Whoami {
		return refusal(oci.ErrUnsupported)
	}
	addr, source := w.address.From(r.RemoteAddr, r.Header)
	at := w.ranges.Locate(addr)
	out := struct {
		Address string `json:"address"`
		Source  string `json:"source"`
		Place   string `json:"place"`
		By      string `json:"by"`
	}{addr.String(), source.String(), at.Place.String(), at.By}
	body, err := json.Marshal(out)
	if err != nil {
		return refusal(err)
	}
	return response{status: http.StatusOK, body: append(body, '\n'), json: true, by: route.NoCandidate}
}
