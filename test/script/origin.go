// Package script runs oci-proxy with scripts. A script has a config, requests as they go over the wire, byte by byte,
// and the answers that are expected.
//
// It knows the commands of a script (http, status, header, body, asked) and the origins that scripts may name: two
// registries and a store that answer from a list. It must not know what the right answers are.
package script

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// origin is a registry or a store that answers from a list and records the requests.
type origin struct {
	*httptest.Server

	mu    sync.Mutex
	has   map[string]bool // paths
	asked []string        // "METHOD target"
}

// nowhere is a digest that cannot exist. The proxy asks for it in the background, whatever clients do.
var nowhere = strings.Repeat("0", 64)

func newOrigin(t testing.TB, serve func(*origin, http.ResponseWriter, *http.Request)) *origin {
	t.Helper()
	o := &origin{has: map[string]bool{}}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, nowhere) {
			o.mu.Lock()
			o.asked = append(o.asked, r.Method+" "+r.URL.RequestURI())
			o.mu.Unlock()
		}
		serve(o, w, r)
	}))
	t.Cleanup(o.Close)
	return o
}

// take returns the requests since the last take.
func (o *origin) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	asked := o.asked
	o.asked = nil
	return asked
}

func (o *origin) holds(path string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.has[path]
}

// serveHeld returns a handler that answers 200 for what the origin has, and missing otherwise. For a store missing is
// 403, as S3 answers clients that may not list.
func serveHeld(missing int) func(*origin, http.ResponseWriter, *http.Request) {
	return func(o *origin, w http.ResponseWriter, r *http.Request) {
		if !o.holds(r.URL.Path) {
			w.WriteHeader(missing)
			return
		}
		w.Header().Set("Content-Length", "1234")
		if r.Method != http.MethodHead {
			_, _ = w.Write(make([]byte, 1234))
		}
	}
}

// serveRegistry answers tag lists by the last word of the repository's name. Otherwise it serves what the origin has.
func serveRegistry(o *origin, w http.ResponseWriter, r *http.Request) {
	name, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/v2/"), "/tags/list")
	if !ok {
		serveHeld(http.StatusNotFound)(o, w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	switch name[strings.LastIndexByte(name, '/')+1:] {
	case "app":
		fmt.Fprintf(w, `{"name":%q,"tags":["v1","v2"]}`, name)
	case "paged":
		next := url.Values{"last": {"b"}, "n": {"2"}}
		w.Header().Set("Link", fmt.Sprintf(`</v2/%s/tags/list?%s>; rel="next"`, name, next.Encode()))
		fmt.Fprintf(w, `{"name":%q,"tags":["a","b"]}`, name)
	case "absolute": // some registries write an absolute URL with their own parameters
		w.Header().Set("Link", fmt.Sprintf(`<%s/v2/%s/tags/list?last=b&n=2&service=secret>; rel="next"`, o.URL, name))
		fmt.Fprintf(w, `{"name":%q,"tags":["a","b"]}`, name)
	case "evil":
		w.Header().Set("Link", `<https://attacker.example/v2/evil/tags/list?last=b&n=2>; rel="next"`)
		w.Header().Set("Set-Cookie", "session=secret")
		fmt.Fprintf(w, `{"name":%q,"tags":["a"]}`, name)
	case "broken":
		w.WriteHeader(http.StatusInternalServerError)
	case "page":
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html>please log in</html>")
	case "huge":
		fmt.Fprintf(w, `{"name":%q,"tags":[`, name)
		for range 9 << 20 / 10 {
			fmt.Fprint(w, `"abcdefg",`)
		}
		fmt.Fprint(w, `"z"]}`)
	case "hangs":
		<-r.Context().Done()
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}`)
	}
}
