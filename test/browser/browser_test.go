package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"ociproxy/test/parts"
)

// TestSlowBrowser checks that the browser notices what tests of a page must notice.
func TestSlowBrowser(t *testing.T) {
	parts.Slow(t)
	page := ""
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(rw, r)
			return
		}
		rw.Header().Set("Content-Type", "text/html")
		rw.Header().Set("Content-Security-Policy", "default-src 'self' 'unsafe-inline'; img-src 'none'")
		fmt.Fprint(rw, page)
	}))
	defer s.Close()
	b := Start(t)
	const head = `<!doctype html><html lang=en><meta name=viewport content="width=device-width"><title>t</title><main><h1>t</h1>`
	for name, tt := range map[string]struct {
		page string
		look Look
		want string // the beginning of one complaint; "": none
	}{
		"good":      {page: head, want: ""},
		"exception": {page: head + `<script>nothing.x()</script>`, want: "exception: Uncaught ReferenceError"},
		"console":   {page: head + `<script>console.error("bad", 1)</script>`, want: `console: error: "bad" 1`},
		"missing":   {page: head + `<script src=missing.js></script>`, want: "log: network: Failed to load resource"},
		"policy":    {page: head + `<img alt="" src=a.png>`, want: "policy: img-src blocks"},
		"elsewhere": {page: head + `<script src=http://elsewhere.example/></script>`, want: "policy: script-src"},
		"no script": {page: head + `<script>nothing.x()</script>`, look: Look{NoScript: true}, want: ""},
	} {
		t.Run(name, func(t *testing.T) {
			page = tt.page
			p := b.Page(t, tt.look)
			p.Open(t, s.URL+"/")
			got := p.Complaints()
			if tt.want == "" && len(got) > 0 || tt.want != "" && !slices.ContainsFunc(got, func(c string) bool { return strings.HasPrefix(c, tt.want) }) {
				t.Errorf("complaints %q, want %q", got, tt.want)
			}
			if r := p.Requests(); len(r) == 0 || r[0].URL != s.URL+"/" || r[0].Status != http.StatusOK || r[0].Bytes == 0 {
				t.Errorf("requests %+v", r)
			}
		})
	}
	p := b.Page(t, Look{Width: 360, Height: 640, Dark: true, LessMoved: true, Touch: true})
	page = head + `<div style="width:500px">x</div><p style="color:#ccc">words that nobody can read</p>`
	p.Open(t, s.URL+"/")
	if w := p.Sideways(t); w != 148 {
		t.Errorf("wider by %d", w)
	}
	if axe := p.Axe(t); len(axe) != 1 || !strings.HasPrefix(axe[0], "color-contrast: ") {
		t.Errorf("axe: %q", axe)
	}
	for _, media := range []string{"(prefers-color-scheme: dark)", "(prefers-reduced-motion: reduce)"} {
		if !Eval[bool](t, p, "matchMedia('"+media+"').matches") {
			t.Errorf("no %s", media)
		}
	}
}
