package proxy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"ociproxy/internal/oci"
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

// Answers that are not an upstream's fault are passed on with the specification's code, and do not affect its health.
// In all cases the proxy asks canonical first.
func TestTagListFallsBackToCanonical(t *testing.T) {
	status := func(code int, header ...string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("WWW-Authenticate", `Bearer realm="https://elsewhere.example/token"`)
			for i := 0; i+1 < len(header); i += 2 {
				rw.Header().Set(header[i], header[i+1])
			}
			rw.WriteHeader(code)
			fmt.Fprint(rw, `{"errors":[{"code":"SECRET"}]}`)
		}
	}
	redirect := func(to string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, to, http.StatusFound) }
	}
	for name, c := range map[string]struct {
		fault http.HandlerFunc
		want  int // if both upstreams do it
		code  string
		after string
		well  bool // does not affect their health
	}{
		"400":                  {status(400), 400, "NAME_INVALID", "", true},
		"401":                  {status(401), 401, "UNAUTHORIZED", "", true},
		"403":                  {status(403), 403, "DENIED", "", true},
		"404":                  {status(404), 404, "NAME_UNKNOWN", "", true},
		"410":                  {status(410), 404, "NAME_UNKNOWN", "", true},
		"429":                  {status(429), 429, "TOOMANYREQUESTS", "1", true},
		"429, later":           {status(429, "Retry-After", "17"), 429, "TOOMANYREQUESTS", "17", true},
		"429, much later":      {status(429, "Retry-After", "99999999"), 429, "TOOMANYREQUESTS", "300", true},
		"429, whenever":        {status(429, "Retry-After", "soon\t"), 429, "TOOMANYREQUESTS", "1", true},
		"402":                  {status(402), 403, "DENIED", "", true},
		"405":                  {status(405), 404, "UNSUPPORTED", "", true},
		"409":                  {status(409), 404, "UNSUPPORTED", "", true},
		"414":                  {status(414), 400, "UNSUPPORTED", "", true},
		"422":                  {status(422), 404, "UNSUPPORTED", "", true},
		"431":                  {status(431), 400, "UNSUPPORTED", "", true},
		"451":                  {status(451), 403, "DENIED", "", true},
		"408":                  {status(408), 503, "UNAVAILABLE", "1", false},
		"500":                  {status(500), 503, "UNAVAILABLE", "1", false},
		"503":                  {status(503), 503, "UNAVAILABLE", "1", false},
		"204":                  {status(204), 503, "UNAVAILABLE", "1", false},
		"redirect elsewhere":   {redirect("http://127.0.0.1:1/"), 503, "UNAVAILABLE", "1", false},
		"redirect with a user": {redirect("//a:b@127.0.0.1/"), 503, "UNAVAILABLE", "1", false},
		"redirect for ever":    {redirect("/v2/p/i/a/tags/list"), 503, "UNAVAILABLE", "1", false},
		"html":                 {func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, "<html>") }, 503, "UNAVAILABLE", "1", false},
		"deep":                 {func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write(bytes.Repeat([]byte("["), 4<<20)) }, 503, "UNAVAILABLE", "1", false},
		"deep below a key that is skipped": {func(rw http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(rw, `{"x":`, strings.Repeat(`{"a":`, 1<<20))
		}, 503, "UNAVAILABLE", "1", false},
		"cut": {func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Length", "99")
			fmt.Fprint(rw, "{")
		}, 503, "UNAVAILABLE", "1", false},
		"too large": {func(rw http.ResponseWriter, _ *http.Request) {
			_, _ = rw.Write(bytes.Repeat([]byte(" "), maxRelayBytes+1))
		}, 503, "UNAVAILABLE", "1", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.eu.tags, w.us.tags = c.fault, tagsOf("p/i/a", "", "v1")
			resp := w.ask(t, gcpClient, "GET /v2/a/tags/list")
			if got, want := body(t, resp), `{"name":"a","tags":["v1"]}`+"\n"; resp.StatusCode != 200 || got != want {
				t.Errorf("%d %s, want %s", resp.StatusCode, got, want)
			}
			w.us.tags = c.fault
			resp = w.ask(t, gcpClient, "GET /v2/a/tags/list")
			text := body(t, resp)
			if resp.StatusCode != c.want || resp.Header.Get("Retry-After") != c.after || !strings.Contains(text, c.code) || strings.Contains(text, "SECRET") ||
				resp.Header.Get("WWW-Authenticate") != "" {
				t.Errorf("both do it: %d, %v, %s", resp.StatusCode, resp.Header, text)
			}
			failed := testutil.ToFloat64(w.server.metrics.Relays.WithLabelValues("us", "failed"))
			if (failed == 0) != c.well {
				t.Errorf("us failed %v times", failed)
			}
		})
	}
}

// A wrong page does not mean a wrong name.
func TestTagListOfAPageThatIsRefused(t *testing.T) {
	w := newWorld(t)
	w.us.tags = func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(400) }
	if got := body(t, w.ask(t, awsClient, "GET /v2/a/tags/list?n=2147483647")); !strings.Contains(got, "PAGINATION_NUMBER_INVALID") {
		t.Error(got)
	}
}

// Registries page in different ways. The proxy follows every way that has n and last, and never loops. If it cannot
// follow a link, it drops the link and keeps the page.
func TestTagListPages(t *testing.T) {
	token := strings.Repeat("+/=", 682) // 2046 bytes
	escaped := strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(token, "+", "%2B"), "/", "%2F"), "=", "%3D")
	for name, c := range map[string]struct {
		query string
		link  string
		tags  string
		want  string
		next  string
	}{
		"any spelling":          {"", `</v2/p/i/a/tags/list?n=2&last=v2>;REL=Next`, "v1,v2", "v1,v2", "n=2&last=v2"},
		"prev first":            {"n=2&last=v0", `</v2/p/i/a/tags/list?n=2>; rel="prev", <?n=2&last=v2>; rel="next"`, "v1,v2", "v1,v2", "n=2&last=v2"},
		"our n":                 {"n=2", `<?n=1000&last=v2>; rel=next`, "v1,v2", "v1,v2", "n=2&last=v2"},
		"a token":               {"", `<?last=` + escaped + `>; rel=next`, "v1", "v1", "last=" + escaped},
		"n is ignored":          {"n=2", "", "v1,v2,v3", "v1,v2", "n=2&last=v2"},
		"n and last are":        {"n=2&last=v2", "", "v1,v2,v3,v4,v5", "v3,v4", "n=2&last=v4"},
		"and at the end":        {"n=2&last=v4", "", "v1,v2,v3,v4,v5", "v5", ""},
		"none is wanted":        {"n=0", `<?n=0&last=v1>; rel=next`, "v1,v2", "", ""},
		"n of no tags at all":   {"", `<?n=0&last=v1>; rel=next`, "v1", "v1", "last=v1"},
		"n of no number":        {"", `<?n=all&last=v1>; rel=next`, "v1", "v1", "last=v1"},
		"our n, not theirs":     {"n=5", `<?n=-1&last=v1>; rel=next`, "v1", "v1", "n=5&last=v1"},
		"one of two":            {"", `<https://o.example/?page=2>; rel=next, <?last=v1>; rel=next`, "v1", "v1", "last=v1"},
		"a blank within":        {"", `< ?last=v1 >; rel=next`, "v1", "v1", "last=v1"},
		"no target":             {"", `<>; rel=next`, "v1", "v1", ""},
		"a broken escape of x":  {"", `<?last=v1&x=%zz>; rel=next`, "v1", "v1", "last=v1"},
		"a token, n is ignored": {"n=2&last=T", "", "v1,v2,v3", "v1,v2", "n=2&last=v2%20after%20T"},
		"within a page":         {"n=2&last=v2%20after%20T", "", "v1,v2,v3", "v3", ""},
		"a circle":              {"last=v2", `<?last=v2>; rel=next`, "v3", "v3", ""},
		"another way":           {"", `</v2/p/i/a/tags/list?next_page=abc>; rel="next"`, "v1", "v1", ""},
		"too long a token":      {"", `<?last=` + strings.Repeat("t", 2049) + `>; rel=next`, "v1", "v1", ""},
		"a broken escape":       {"", `<?last=%zz>; rel=next`, "v1", "v1", ""},
		"no link that is one":   {"", `next`, "v1", "v1", ""},
		"no URL that is one":    {"", `<http://[>; rel=next`, "v1", "v1", ""},
		"a title that lies":     {"", `<?last=v1>; rel=prev; title="; rel=next"`, "v1", "v1", ""},
		"a title with a break":  {"", `<?last=v1>; title="a, <b>"; rel=next`, "v1", "v1", "last=v1"},
		"tags that are no tags": {"n=1", "", "..,v1", "v1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			h := tagsOf("p/i/a", c.link, strings.Split(c.tags, ",")...)
			w.eu.tags, w.us.tags = h, h
			resp := w.ask(t, gcpClient, "GET /v2/a/tags/list?"+c.query)
			want := `{"name":"a","tags":[` + strings.ReplaceAll(`"`+c.want+`"`, ",", `","`) + "]}\n"
			if c.want == "" {
				want = `{"name":"a","tags":[]}` + "\n"
			}
			if got := body(t, resp); resp.StatusCode != 200 || got != want {
				t.Errorf("%d %s, want %s", resp.StatusCode, got, want)
			}
			link := ""
			if c.next != "" {
				link = "</v2/a/tags/list?" + c.next + `>; rel="next"`
			}
			if got := resp.Header.Get("Link"); got != link {
				t.Errorf("Link %.300q, want %.300q", got, link)
			}
		})
	}
}

// If the link of the near upstream cannot be followed, the proxy asks canonical, which may page in the usual way. If
// canonical does not answer, the near page is better than none.
func TestAnOddLinkAsksCanonical(t *testing.T) {
	odd := tagsOf("p/i/a", `<?next_page=abc>; rel="next"`, "v1")
	w := newWorld(t)
	w.eu.tags, w.us.tags = odd, tagsOf("p/i/a", `<?last=v1>; rel="next"`, "v1")
	if got := w.ask(t, gcpClient, "GET /v2/a/tags/list").Header.Get("Link"); !strings.Contains(got, "last=v1") {
		t.Errorf("Link %q", got)
	}
	for _, code := range []int{500, 403, 429} {
		w := newWorld(t)
		w.eu.tags = odd
		w.us.tags = func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(code) }
		resp := w.ask(t, gcpClient, "GET /v2/a/tags/list")
		if got := body(t, resp); resp.StatusCode != 200 || !strings.Contains(got, "v1") || resp.Header.Get("Link") != "" || resp.Header.Get("Retry-After") != "" {
			t.Errorf("canonical says %d: %d %s %v", code, resp.StatusCode, got, resp.Header)
		}
	}
	if n := testutil.ToFloat64(w.server.metrics.Relays.WithLabelValues("eu", "odd-link")); n != 1 {
		t.Errorf("%v odd links", n)
	}
}

func TestTagListFollowsOneRedirectOnItsHost(t *testing.T) {
	w := newWorld(t)
	w.us.tags = func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("x") == "" {
			http.Redirect(rw, r, r.URL.Path+"?x=1", http.StatusPermanentRedirect)
			return
		}
		tagsOf("p/i/a", "", "v1")(rw, r)
	}
	if got := body(t, w.ask(t, awsClient, "GET /v2/a/tags/list")); got != `{"name":"a","tags":["v1"]}`+"\n" {
		t.Errorf("body %s", got)
	}
}

// distribution answers 200 without tags to a later page of a repository that it does not have. If the proxy believed
// that, the rest of the list would be lost.
func TestAnEmptyListOfAReplicaIsNotBelieved(t *testing.T) {
	w := newWorld(t)
	w.eu.tags = func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, `{"name":"p/i/a","tags":[]}`) }
	w.us.tags = tagsOf("p/i/a", "", "v3")
	if got := body(t, w.ask(t, gcpClient, "GET /v2/a/tags/list?n=2&last=v2")); got != `{"name":"a","tags":["v3"]}`+"\n" {
		t.Errorf("body %s", got)
	}
}

// A list counts until it is written, however slowly the client reads. Networks that take all they can get leave room
// for others.
func TestRelaysAreShared(t *testing.T) {
	r := newRelays()
	network := func(i int) netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), 24) }
	var all []*relayShare
	for i := range 15 {
		for {
			share, no := r.acquire(network(i))
			if no != nil {
				break
			}
			all = append(all, share)
			for share.resize(share.n + 4096) {
			}
		}
	}
	taken := int64(0)
	for _, s := range all {
		taken += s.n
	}
	if taken != maxRelayMemory-r.free || all[0].n < maxRelayBytes*spread {
		t.Errorf("%d taken, %d left, the first list has %d", taken, r.free, all[0].n)
	}
	share, no := r.acquire(network(16))
	if no != nil || !share.resize(512<<10) {
		t.Fatalf("%d are left: nothing for others", r.free)
	}
	share.release()
	for _, s := range all {
		s.release()
	}
	if r.free != maxRelayMemory || len(r.clients) != 0 {
		t.Error("not everything was given back")
	}
}

// The number of lists is bounded too, because each counts for a minimum.
func TestRelaysAreFew(t *testing.T) {
	r, n := newRelays(), 0
	for i := range 1000 {
		if _, no := r.acquire(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)); no == nil {
			n++
		} else if no.Status != http.StatusServiceUnavailable {
			t.Fatalf("a network that has none is told %v", no)
		}
	}
	if n < 100 || n > maxRelayMemory/leastRelay {
		t.Errorf("%d lists under way", n)
	}
}

func TestAClientHasFewRelays(t *testing.T) {
	r := newRelays()
	for i := range maxClientRelays + 1 {
		_, no := r.acquire(netip.MustParsePrefix("192.0.2.0/24"))
		if want := i < maxClientRelays; (no == nil) != want || no != nil && no.Status != http.StatusTooManyRequests {
			t.Errorf("list %d of one client: %v, want %v", i, no, want)
		}
	}
}

// If there is no room for a list, that is no candidate's fault.
func TestABusyRelay(t *testing.T) {
	w := newWorld(t)
	w.us.tags = func(rw http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(rw, `{"tags":["v1"`, strings.Repeat(`,"v1"`, 400_000), `]}`)
	}
	w.server.relays.free = 4 << 20
	resp := w.ask(t, awsClient, "GET /v2/a/tags/list")
	if got := body(t, resp); resp.StatusCode != 503 || !strings.Contains(got, errBusy.Error()) {
		t.Errorf("%d %s", resp.StatusCode, got)
	}
	if n := testutil.ToFloat64(w.server.metrics.Relays.WithLabelValues("us", "busy")); n != 1 || w.server.relays.free != 4<<20 {
		t.Errorf("busy %v times, %d bytes free", n, w.server.relays.free)
	}
}

// A registry may page by tokens that only it knows, and ignore n. A client that asks for pages of any size still gets
// each tag once, in order, and reaches the end. Such a registry also does not know a tag as a marker.
func TestEveryTagOnce(t *testing.T) {
	var all []string
	for i := range 23 {
		all = append(all, fmt.Sprintf("t%03d", i))
	}
	const pageSize = 5
	tokens := map[string]func(i int) string{
		"tokens":            func(i int) string { return fmt.Sprintf("TOK=%d", i) },
		"tokens like tags":  func(i int) string { return fmt.Sprintf("a%d", i) },
		"tokens after tags": func(i int) string { return fmt.Sprintf("z%d", i) },
		"tags":              func(i int) string { return all[i-1] },
	}
	for name, token := range tokens {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.us.tags = func(rw http.ResponseWriter, r *http.Request) {
				begin := 0
				for i := pageSize; i < len(all); i += pageSize {
					if r.URL.Query().Get("last") == token(i) {
						begin = i
					}
				}
				end := min(begin+pageSize, len(all))
				if end < len(all) {
					rw.Header().Set("Link", `<?`+url.Values{"last": {token(end)}}.Encode()+`>; rel="next"`)
				}
				tagsOf("p/i/a", "", all[begin:end]...)(rw, r)
			}
			for _, n := range []int{1, 2, 3, 5, 7, 100} {
				var got []string
				query := fmt.Sprintf("?n=%d", n)
				for pages := 0; query != "" && pages < 100; pages++ {
					resp := w.ask(t, awsClient, "GET /v2/a/tags/list"+query)
					var list struct{ Tags []string }
					if err := json.Unmarshal([]byte(body(t, resp)), &list); err != nil || len(list.Tags) > n {
						t.Fatalf("n=%d: %v, %v", n, list.Tags, err)
					}
					got = append(got, list.Tags...)
					_, query, _ = strings.Cut(strings.TrimSuffix(resp.Header.Get("Link"), `>; rel="next"`), "/tags/list")
				}
				if !slices.Equal(got, all) {
					t.Errorf("n=%d: %v", n, got)
				}
			}
		})
	}
}

// A decoder keeps a complete string, and its buffer doubles: a string of eight megabytes took five times its size.
func TestALongStringTakesNoMemory(t *testing.T) {
	for name, list := range map[string]string{
		"a tag": `{"tags":["` + strings.Repeat("a", maxRelayBytes-32) + `"]}`, "escapes": `{"tags":["` + strings.Repeat(`\u0061`, maxRelayBytes/6-32) + `"]}`,
		"skipped": `{"x":"` + strings.Repeat("a", maxRelayBytes-32) + `"}`, "a key": `{"` + strings.Repeat("a", maxRelayBytes-32) + `":1}`,
		"a number": `{"x":` + strings.Repeat("1", maxRelayBytes-32) + `}`, "blanks": strings.Repeat(" ", maxRelayBytes-32) + `{}`,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := rewriteTags(strings.NewReader(list), nil, oci.Request{Name: "a", N: -1})
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 16*maxToken || !errors.Is(err, errToken) {
			t.Errorf("%s: %d bytes, %v", name, took, err)
		}
	}
}

// Skipped content costs neither memory nor garbage: as much for one megabyte as for eight. gzip compresses it to a
// thousandth.
func TestWhatIsSkippedTakesNoMemory(t *testing.T) {
	for name, unit := range map[string]string{"deep": `[`, "deep objects": `{"a":`, "lists": `[],`, "numbers": `1,`, "objects": `{"a":1,"b":[2]},`, "strings": `"xyz",`} {
		junk := `{"x":[` + strings.Repeat(unit, (1<<20)/len(unit))
		if strings.HasSuffix(unit, ",") {
			junk += `1],"tags":["v1"]}`
		}
		if n := testing.AllocsPerRun(1, func() {
			_, _ = rewriteTags(strings.NewReader(junk), nil, oci.Request{Name: "a", N: -1})
		}); n > 200 {
			t.Errorf("%s: %v allocations", name, n)
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
