package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func newReader(b []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(b)) }

func tagsOf(name, link string, tags ...string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		if link != "" {
			rw.Header().Set("Link", link)
		}
		fmt.Fprintf(rw, `{"name":%q,"tags":[%s],"child":["x"],"manifest":{}}`, name, `"`+strings.Join(tags, `","`)+`"`)
	}
}

func TestTagListIsRelayedUnderTheRequestedName(t *testing.T) {
	for _, link := range []string{
		`</v2/p/i/a/tags/list?last=v2&n=2>; rel="next"`,
		`<https://elsewhere.example/v2/p/i/a/tags/list?n=2&last=v2&token=secret>; rel="next"`,
	} {
		w := newWorld(t)
		w.eu.tags = tagsOf("p/i/a", link, "v1", "v2", "not a tag")
		resp := w.ask(t, gcpClient, "GET /v2/a/tags/list?n=2&x=y")
		if got, want := body(t, resp), `{"name":"a","tags":["v1","v2"]}`+"\n"; got != want {
			t.Errorf("body %s, want %s", got, want)
		}
		got := resp.Header.Get("Link")
		if !strings.HasPrefix(got, "</v2/a/tags/list?") || !strings.Contains(got, "last=v2") || !strings.Contains(got, "n=2") ||
			!strings.HasSuffix(got, `>; rel="next"`) || strings.Contains(got, "token") {
			t.Errorf("Link %q", got)
		}
		if reqs := w.eu.requests(); len(reqs) != 1 || reqs[0] != "GET /v2/p/i/a/tags/list?n=2" {
			t.Errorf("asked %v", reqs)
		}
	}
}

func TestTagListFallsBackToCanonical(t *testing.T) {
	faults := map[string]http.HandlerFunc{
		"500": func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(500) },
		"404": func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(404) },
		"401": func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(401) },
		"redirect": func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, "http://127.0.0.1:1/", http.StatusFound)
		},
		"a link that cannot be followed here": tagsOf("p/i/a", `</v2/p/i/a/tags/list?next_page=abc>; rel="next"`, "v1"),
		"html":                                func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, "<html>") },
		"cut": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Length", "99")
			fmt.Fprint(rw, "{")
		},
		"too large": func(rw http.ResponseWriter, _ *http.Request) {
			_, _ = rw.Write(bytes.Repeat([]byte(" "), maxRelayBytes+1))
		},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.eu.tags, w.us.tags = fault, tagsOf("p/i/a", "", "v1")
			resp := w.ask(t, gcpClient, "GET /v2/a/tags/list")
			if got, want := body(t, resp), `{"name":"a","tags":["v1"]}`+"\n"; resp.StatusCode != 200 || got != want {
				t.Errorf("%d %s, want %s", resp.StatusCode, got, want)
			}
			w.us.tags = fault
			resp = w.ask(t, gcpClient, "GET /v2/a/tags/list")
			want, retry := http.StatusServiceUnavailable, "1"
			if name == "404" {
				want, retry = http.StatusNotFound, ""
			}
			if resp.StatusCode != want || resp.Header.Get("Retry-After") != retry {
				t.Errorf("both fail: %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
			}
		})
	}
}

// distribution says 200 and no tags to a later page of a repository it lacks: the rest of the list would be lost.
func TestAnEmptyListOfAReplicaIsNotBelieved(t *testing.T) {
	w := newWorld(t)
	w.eu.tags = func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, `{"name":"p/i/a","tags":[]}`) }
	w.us.tags = tagsOf("p/i/a", "", "v3")
	if got := body(t, w.ask(t, gcpClient, "GET /v2/a/tags/list?n=2&last=v2")); got != `{"name":"a","tags":["v3"]}`+"\n" {
		t.Errorf("body %s", got)
	}
}

// A list stays in the bounds until it is written, however slowly the client reads.
func TestRelaysAreBounded(t *testing.T) {
	r := newRelays()
	var releases []func()
	for i := range 1000 {
		client := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)
		release, shrink, ok := r.acquire(client)
		if !ok {
			break
		}
		shrink(maxRelayBytes / 2)
		releases = append(releases, release)
	}
	if n := len(releases); n < maxRelayMemory/maxRelayBytes || n >= 2*maxRelayMemory/maxRelayBytes {
		t.Errorf("%d lists of half the largest size under way", n)
	}
	for _, f := range releases {
		f()
	}
	if !r.memory.TryAcquire(maxRelayMemory) || len(r.clients) != 0 {
		t.Error("not everything was given back")
	}
}

func TestAClientHasFewRelays(t *testing.T) {
	r := newRelays()
	for i := range maxClientRelays + 1 {
		_, _, ok := r.acquire(netip.MustParsePrefix("192.0.2.0/24"))
		if want := i < maxClientRelays; ok != want {
			t.Errorf("list %d of one client: %v, want %v", i, ok, want)
		}
	}
}

func TestEmptyTagList(t *testing.T) {
	w := newWorld(t)
	w.us.tags = func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, `{"name":"p/i/a","tags":null}`) }
	if got := body(t, w.ask(t, awsClient, "GET /v2/a/tags/list")); got != `{"name":"a","tags":[]}`+"\n" {
		t.Errorf("body %s", got)
	}
}
