package inventory_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inventorytest"
)

// TestLastGood: whatever a store answers, the last good inventory stays, before and after a restart. When the fault is
// over, the reader reads the newest inventory.
func TestLastGood(t *testing.T) {
	head := func(generation int, id, segments string) http.HandlerFunc {
		return text(200, "application/json", fmt.Sprintf(
			`{"version":1,"store":%q,"generation":%d,"writtenAt":%q,"segments":[%s]}`, id, generation, time.Now().Format(time.RFC3339), segments))
	}
	far := int(time.Now().Unix()) + inventory.MaxAhead/2 // a generation above all others
	hash := strings.Repeat("ab", 32)
	damage := func(f func([]byte) []byte) func(*world) func(http.ResponseWriter, *http.Request) bool {
		return func(w *world) func(http.ResponseWriter, *http.Request) bool {
			return on("/seg/", func(rw http.ResponseWriter, r *http.Request) {
				o, _ := w.b["a"].Object(strings.TrimPrefix(r.URL.Path, "/"))
				_, _ = rw.Write(f(bytes.Clone(o.Body)))
			})
		}
	}
	just := func(suffix string, h http.HandlerFunc) func(*world) func(http.ResponseWriter, *http.Request) bool {
		return func(*world) func(http.ResponseWriter, *http.Request) bool { return on(suffix, h) }
	}
	for name, tt := range map[string]struct {
		answer func(*world) func(http.ResponseWriter, *http.Request) bool
		fault  string
	}{
		"head 500":           {just("head.json", text(500, "text/plain", "oops")), "status 500"},
		"head 429":           {just("head.json", text(429, "text/plain", "oops")), "status 429"},
		"head html":          {just("head.json", text(200, "text/html", "<html>log in")), "HTML"},
		"head empty":         {just("head.json", text(200, "application/json", "")), "empty"},
		"head half":          {just("head.json", text(200, "application/json", `{"version":1,"sto`)), "unexpected end"},
		"head newer":         {just("head.json", text(200, "application/json", `{"version":2}`)), "version 2"},
		"head too large":     {just("head.json", text(200, "application/json", strings.Repeat(" ", 1<<20))), "larger"},
		"foreign":            {just("head.json", head(far, "b", "")), "another store"},
		"lower generation":   {just("head.json", head(3, "a", "")), "older than the one already read: generation 3"},
		"segment missing":    {just("head.json", head(far, "a", `{"sha256":"`+hash+`","count":1,"bytes":62}`)), "status 404"},
		"segment 403":        {just("/seg/", text(403, "text/plain", "no")), "status 403"},
		"segment 500":        {just("/seg/", text(500, "text/plain", "oops")), "status 500"},
		"segment html":       {just("/seg/", text(200, "text/html", "<html>log in")), "HTML"},
		"segment empty":      {just("/seg/", text(200, "application/octet-stream", "")), "bad segment"},
		"segment truncated":  {damage(func(b []byte) []byte { return b[:len(b)-3] }), "bad segment"},
		"segment longer":     {damage(func(b []byte) []byte { return append(b, 1) }), "bad segment"},
		"segment bad hash":   {damage(func(b []byte) []byte { b[len(b)-2]++; return b }), "bad segment: its hash is"},
		"segment bad order":  {damage(func(b []byte) []byte { b[24] = 0xff; return b }), "bad segment"},
		"segment other size": {just("head.json", head(far, "a", `{"sha256":"`+hash+`","count":1,"bytes":64}`)), "cannot be 1 records"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t.TempDir())
			w.write("a", inventorytest.Blob(1), inventorytest.Blob(2), inventorytest.Blob(3))
			f, live := w.follow("a")
			state(t, f, live, inventory.Loading, "")
			if err := f.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			state(t, f, live, inventory.Current, "")
			w.expect(live, "a")

			before := maps.Clone(w.held["a"])
			w.write("a", inventorytest.Blob(4), inventorytest.Blob(5), inventorytest.Gone(1))
			after := w.held["a"]
			w.held["a"] = before
			w.set(tt.answer(w))
			for range 2 {
				if err := f.Refresh(t.Context()); err == nil || len(err.Error()) > 500 {
					t.Errorf("error %v", err)
				}
				state(t, f, live, inventory.Current, tt.fault)
				w.expect(live, "a")
			}
			f, live = w.follow("a") // a restart
			f.Load()
			w.expect(live, "a")
			state(t, f, live, inventory.Current, "")
			_ = f.Refresh(t.Context())
			w.expect(live, "a")
			state(t, f, live, inventory.Current, tt.fault)

			w.set(nil)
			w.held["a"] = after
			if err := f.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.expect(live, "a")
			state(t, f, live, inventory.Current, "")
		})
	}
}
