package proxy

import (
	"encoding/json"
	"net/http"
	"strings"

	"ociproxy/internal/oci"
)

// answerPage answers what is not the registry API: pages for people and probes for platforms.
func (s *Server) answerPage(w *world, r *http.Request, path string, a *answer) {
	a.class = classPage
	if page, ok := strings.CutSuffix(path, "/"); ok && len(page) > 1 {
		path = page // people write one
	}
	switch path {
	case "/":
		a.page(w.cfg.Pages.Home)
	case "/privacy":
		a.page(w.cfg.Pages.Privacy)
	case "/-/live":
		a.probe(true)
	case "/-/ready":
		a.probe(s.ready())
	case "/-/whoami":
		if !w.cfg.Client.Whoami {
			a.refuse(oci.ErrUnsupported)
			return
		}
		s.whoami(w, r, a)
	default:
		a.refuse(oci.ErrUnsupported)
	}
}

func (a *answer) page(url string) {
	if url == "" {
		a.refuse(oci.ErrUnsupported)
		return
	}
	a.status, a.location = http.StatusTemporaryRedirect, url
}

func (a *answer) probe(ok bool) {
	a.class = classProbe
	a.status, a.body = http.StatusOK, []byte("ok\n")
	if !ok {
		a.status, a.body = http.StatusServiceUnavailable, []byte("not ready\n")
	}
}

// whoami tells a client what this server takes it for: to verify `client.behind`.
func (s *Server) whoami(w *world, r *http.Request, a *answer) {
	a.class = classProbe
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
		a.refuse(err)
		return
	}
	a.status, a.body, a.json = http.StatusOK, append(body, '\n'), true
}
