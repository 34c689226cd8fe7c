package admit

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestPages checks that / lists the port's pages, as text and with links, and that no other path gives the list.
func TestPages(t *testing.T) {
	p := NewPages("a port")
	p.Handle("GET /metrics", "figures", func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte("m")) })
	p.Handle("PUT /level", "sets <it>", func(http.ResponseWriter, *http.Request) {})
	p.Handle("GET /hidden", "", func(http.ResponseWriter, *http.Request) {})
	for _, tt := range []struct {
		method, path, accept string
		status               int
		want                 string
	}{
		{"GET", "/", "", 200, "a port\n\nGET  /metrics  figures\nPUT  /level    sets <it>\n"},
		{"GET", "/", "text/html,*/*", 200, `<a href="/metrics">/metrics</a><td>figures` + "\n<tr><td>PUT<td>/level<td>sets &lt;it&gt;\n"},
		{"GET", "/metrics", "", 200, "m"},
		{"GET", "/elsewhere", "", 404, ""},
		{"POST", "/", "", 405, ""},
		{"GET", "/level", "", 405, ""},
	} {
		req := httptest.NewRequest(tt.method, tt.path, http.NoBody)
		req.Header.Set("Accept", tt.accept)
		rec := httptest.NewRecorder()
		p.ServeHTTP(rec, req)
		if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.want) {
			t.Errorf("%s %s: %d\n%s\nwant %d\n%s", tt.method, tt.path, rec.Code, rec.Body, tt.status, tt.want)
		}
		if strings.Contains(rec.Body.String(), "hidden") {
			t.Errorf("%s %s lists the hidden page", tt.method, tt.path)
		}
	}
}
