package proxy

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"strings"
	"testing"
)

// A redirect to a store with requestID must carry an id that the log has too, and no other redirect may.
func TestRedirectsCarryAnID(t *testing.T) {
	w := newWorld(t, "version: 1", "version: 1\nlog: {requests: 1}", "serves: [aws]", "serves: [aws], requestID: true")
	id := regexp.MustCompile(`/b/` + digest + `\?x-rid=([A-Z2-7]{26})$`)
	seen := map[string]bool{}
	for range 3 {
		begin := len(w.log.String())
		to := w.ask(t, another(), "GET /v2/a/blobs/"+digest).Header.Get("Location")
		m := id.FindStringSubmatch(to)
		if m == nil || !strings.HasPrefix(to, w.va.URL) || seen[m[1]] {
			t.Fatalf("redirect to %s, want a new id", to)
		}
		seen[m[1]] = true
		var line struct{ RID string }
		if err := json.Unmarshal([]byte(w.log.String()[begin:]), &line); err != nil || line.RID != m[1] {
			t.Errorf("log %s (%v), want the id %s", w.log.String()[begin:], err, m[1])
		}
	}
	for client, path := range map[string]string{homeClient: "/v2/a/blobs/" + digest, another(): "/v2/a/manifests/v1"} {
		if to := w.ask(t, client, "GET "+path).Header.Get("Location"); to == "" || strings.Contains(to, "?") {
			t.Errorf("%s: redirect to %q", path, to)
		}
	}
	e, err := w.server.Explain(t.Context(), netip.MustParseAddr(another()), "/v2/a/blobs/"+digest)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(e.Notes, "\n"), "each redirect to va carries an id of its own (x-rid=…)") {
		t.Errorf("explain notes %q", e.Notes)
	}
}
