package proxy

import (
	"encoding/json"
	"net/http"

	"ociproxy/internal/edge"
	"ociproxy/internal/oci"
	"ociproxy/internal/route"
)

// page answers requests outside the registry API: pages for people and probes of platforms.
func (s *Server) page(w *wiring, r *http.Request, q *request) response {
	var a response
	switch page := edge.PageAt(r.URL.EscapedPath()); page {
	case edge.EndpointsList, edge.EndpointsFeed, edge.EndpointsSigned:
		a = w.listsOf(r.Host).answer(page, r.Header["If-None-Match"])
	case edge.Home:
		a = pageAt(w.cfg.Pages.Home)
	case edge.Privacy:
		a = pageAt(w.cfg.Pages.Privacy)
	case edge.Status:
		a = pageAt(w.cfg.Pages.Status)
	case edge.Live:
		q.class, a = classProbe, probe(true)
	case edge.Ready:
		q.class, a = classProbe, probe(s.ready())
	case edge.Whoami:
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
