package proxy

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"path/filepath"
	"testing"
)

// TestDrainEndsConnections: while the server drains, it still answers over connections that clients keep. Each answer
// also ends its connection properly: HTTP/1 by Connection: close, HTTP/2 by GOAWAY. So no client uses a connection that
// is closed at the end of the drain.
func TestDrainEndsConnections(t *testing.T) {
	one, two := new(http.Protocols), new(http.Protocols)
	one.SetHTTP1(true)
	two.SetUnencryptedHTTP2(true)
	for what, protocols := range map[string]*http.Protocols{"HTTP/1.1": one, "HTTP/2.0": two} {
		t.Run(what, func(t *testing.T) {
			r := start(t, filepath.Join(t.TempDir(), "config.yaml"), newWorld(t))
			tr := &http.Transport{Protocols: protocols}
			defer tr.CloseIdleConnections()
			get := func() (kept bool) {
				trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { kept = i.Reused }}
				req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, "http://"+r.public+"/v2/", nil)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := tr.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK || resp.Proto != what {
					t.Errorf("%s %s", resp.Proto, resp.Status)
				}
				return kept
			}
			poll(t, "serving", func() bool { return r.status("/-/live") == http.StatusOK })
			get()
			poll(t, "a kept connection", get) // a moment after the answer, HTTP/1 makes the connection free again
			r.server.draining.Store(true)
			if !get() {
				t.Error("the server closed an idle connection at the begin of the drain")
			}
			// The client may send another request before it has read the GOAWAY.
			poll(t, "a new connection", func() bool { return !get() })
		})
	}
}
