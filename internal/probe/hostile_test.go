package probe

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/check/judge"
)

// A registry or store may be hostile. None of its answers may make the probe print a secret or a control character, or run
// past its bounds.
func TestHostileAnswers(t *testing.T) {
	location := func(to string) fault {
		return func(rw http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/blobs/") {
				return false
			}
			rw.Header().Set("Location", to)
			rw.WriteHeader(http.StatusTemporaryRedirect)
			return true
		}
	}
	manifest := func(w *world, body []byte) {
		w.manifests["1.0"], w.manifests[digestOf(body)] = body, body
	}
	descriptors := func(n int) (list []any) {
		for i := range n {
			list = append(list, map[string]any{"digest": digestOf(fmt.Append(nil, i)), "size": 1 + i})
		}
		return list
	}
	tagged := func(n int) fault {
		page := 0
		return func(rw http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/tags/list") {
				return false
			}
			page++
			tags := make([]string, n)
			for i := range tags {
				tags[i] = fmt.Sprintf("%d-%d", page, i)
			}
			rw.Header().Set("Link", fmt.Sprintf(`</v2/app/web/tags/list?last=%d>; rel="next"`, page))
			_ = json.NewEncoder(rw).Encode(map[string]any{"tags": tags})
			return true
		}
	}
	for name, change := range map[string]func(w *world){
		"a signature in a broken Location": func(w *world) { w.faults["name"] = location("https://near.test/%zz?X-Amz-Signature=SECRET") },
		"a user in a Location":             func(w *world) { w.faults["name"] = location("https://u:SECRET@near.test/x") },
		"an escape in a host":              func(w *world) { w.faults["name"] = location("https://near\xc2\x9b31m.test/x") },
		"another scheme":                   func(w *world) { w.faults["name"] = location("file:///etc/passwd") },
		"a store redirects to a signed URL": func(w *world) {
			w.faults["far"] = func(rw http.ResponseWriter, _ *http.Request) bool {
				rw.Header().Set("Location", "https://near.test/%zz?sig=SECRET")
				rw.WriteHeader(http.StatusFound)
				return true
			}
		},
		"fifty thousand layers": func(w *world) {
			manifest(w, marshal(map[string]any{"schemaVersion": 2, "config": descriptors(1)[0], "layers": descriptors(50_000)}))
		},
		"fifty thousand platforms": func(w *world) {
			manifest(w, marshal(map[string]any{"schemaVersion": 2, "manifests": descriptors(50_000)}))
		},
		"five thousand layers": func(w *world) {
			manifest(w, marshal(map[string]any{"schemaVersion": 2, "config": descriptors(1)[0], "layers": descriptors(5_000)}))
			w.opt.Limits.Requests = 200
		},
		"endless tags": func(w *world) { w.faults["name"] = tagged(100_000) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			change(w)
			w.opt.Limits.Time = 30 * time.Second
			w.start()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			r, err := Run(ctx, w.opt)
			if err != nil {
				t.Fatal(err)
			}
			if len(bad(r)) == 0 {
				t.Error("nothing is wrong with that")
			}
			if len(r.Findings) > 2000 {
				t.Errorf("%d findings", len(r.Findings))
			}
			text, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), "SECRET") {
				t.Errorf("a secret is in the report:\n%s", show(r))
			}
			for _, f := range r.Findings {
				if strings.ContainsFunc(f.Detail+f.Host, func(c rune) bool { return c < ' ' && c != '\n' || c >= 0x7f && c < 0xa0 }) {
					t.Errorf("a control character in %q %q", f.Detail, f.Host)
				}
			}
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			if m.HeapAlloc > 512<<20 {
				t.Errorf("%d bytes are still in use", m.HeapAlloc)
			}
		})
	}
}

// With plain HTTP, an answer cannot send the probe to another host.
func TestPlainHTTPStaysThere(t *testing.T) {
	w := newWorld(t)
	w.plain["near"], w.plain["far"], w.plain["name"] = true, true, true
	w.opt.PlainHTTP = []string{"near.test", "far.test", "name.test"}
	w.faults["near"] = func(rw http.ResponseWriter, _ *http.Request) bool {
		rw.Header().Set("Location", w.urls["far"].String()+"/elsewhere")
		rw.WriteHeader(http.StatusFound)
		return true
	}
	w.faults["far"] = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/elsewhere" {
			t.Error("the probe followed a redirect over plain HTTP")
		}
		return false
	}
	r := w.run()
	if !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Check == idLayer && f.Result == judge.Failed }) {
		t.Errorf("no failed layer:\n%s", show(r))
	}
}
