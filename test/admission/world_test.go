package admission

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ociproxy/test/ctl"
	"ociproxy/test/image"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
	"ociproxy/test/shop"
)

// Cases wait more than they compute.
func TestMain(m *testing.M) { parts.Together(m, 4) }

const prefix, name, tag = "project/images", "app/web", "1.0"

// world is a registry with one image, and two stores that the mirror has filled.
type world struct {
	registry *registry.Registry
	image    *image.Image
	shops    []*shop.Shop // the one to examine, and its neighbour
	servers  *shop.Servers
	config   proxy.Config
	file     string
	env      []string // of the command, besides the credentials
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{registry: registry.Start(t), servers: shop.StartS3(t, "us-east-1", "us-west-2"), image: image.New(t, 91, 3<<20, 700<<10, 900)}
	w.image.Push(t, w.registry.Addr, prefix+"/"+name, tag)
	return w.filled(t)
}

// filled returns a world with new buckets on the servers of w, which the mirror has filled.
func (w *world) filled(t testing.TB) *world {
	t.Helper()
	is := w.with(t, w.servers.Shops(t))
	is.fill(t)
	return is
}

// fill has the mirror fill the stores.
func (w *world) fill(t testing.TB) {
	t.Helper()
	w.config.Write(t, w.file)
	if r := ctl.Run(t, ctl.Limit, shop.Environment, "mirror", "--config", w.file, "--once", "--output", "json"); r.Code != 0 {
		t.Fatalf("mirror: %v", r)
	}
}

// with returns a world with a config of its own for these stores.
func (w *world) with(t testing.TB, shops []*shop.Shop) *world {
	t.Helper()
	is := *w
	is.shops, is.file = shops, filepath.Join(t.TempDir(), "config.yaml")
	stores := shop.Configs(is.shops)
	for _, s := range stores {
		s.(proxy.Map)["families"] = proxy.List{"ipv4"} // the URLs have addresses of this family
	}
	stores[0].(proxy.Map)["state"] = "filling"
	is.config = proxy.Config{
		"location":  "gcp/us-central1",
		"upstreams": proxy.List{proxy.Map{"name": "us", "url": "http://" + is.registry.Addr, "prefix": prefix, "place": "gcp/us-central1", "canonical": true, "insecure": true}},
		"stores":    stores,
		"mirror":    proxy.Map{"source": "us", "repositories": proxy.Map{"list": proxy.List{name}}, "spool": proxy.Map{"dir": t.TempDir()}, "requestsPerSecond": 5000},
	}.Defaults(t)
	return &is
}

// store returns the stanza of the store to examine, for a test to change.
func (w *world) store() proxy.Map { return w.config["stores"].(proxy.List)[0].(proxy.Map) }

// record is the part of a record that the tests read.
type record struct {
	Kind, Verdict    string
	Version          int
	Errors, Warnings int
	Subject          struct{ Store, URL, Stanza, Config string }
	Findings         []struct{ Check, Result, Object, Detail, Hint, Doc string }
	Figures          struct {
		Sample struct{ Objects, Whole, Needed, Unlisted int }
		Speed  []struct {
			Name, Kind                       string
			FirstByteSeconds, BytesPerSecond float64
		}
		Pulls []struct {
			Client           string
			Blobs, FromStore int
		}
	}
	Limits, Cost struct {
		Requests, Bytes int64
		Seconds         float64
	}
}

// quick are the flags of most cases: only the built-in client, every object of the small inventory, and no complaint
// about speed, because the machine is busy.
var quick = []string{"--client", "builtin", "--objects", "100", "--bytes", "256MB", "--min-speed", "0.01", "--max-first-byte", "100"}

// admit examines the store.
func (w *world) admit(t testing.TB, args ...string) record {
	t.Helper()
	w.config.Write(t, w.file)
	ran := ctl.Run(t, ctl.Limit, slices.Concat(shop.Environment, w.env), slices.Concat([]string{"store", "admit", w.shops[0].Name, "--config", w.file, "--output", "json"}, args)...)
	if ran.Stdout == "" {
		t.Fatalf("store admit: %v", ran)
	}
	r := ctl.Decode[record](t, ran.Stdout)
	if want := map[string]int{"pass": 0, "fail": 4}[r.Verdict]; ran.Code != want {
		t.Errorf("verdict %s, exit code %d", r.Verdict, ran.Code)
	}
	return r
}

// rank orders results by severity.
var rank = []string{"", "ok", "info", "warning", "error"}

// results returns the worst result of each check.
func (r *record) results() map[string]string {
	out := map[string]string{}
	for _, f := range r.Findings {
		if slices.Index(rank, f.Result) > slices.Index(rank, out[f.Check]) {
			out[f.Check] = f.Result
		}
	}
	return out
}

// String shows what is not well.
func (r *record) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d errors, %d warnings\n", r.Verdict, r.Errors, r.Warnings)
	for _, f := range r.Findings {
		if f.Result != "ok" {
			fmt.Fprintf(&b, "%s %s %s: %s\n", f.Check, f.Result, f.Object, f.Detail)
		}
	}
	return b.String()
}

// fault answers a request in place of the store and returns true, or leaves it to the store.
type fault func(w http.ResponseWriter, r *http.Request, store http.Handler) bool

// faulty returns a reverse proxy with a fault before the store.
func (w *world) faulty(t testing.TB, f fault) http.Handler {
	backend := &url.URL{Scheme: "http", Host: w.shops[0].Server.Backend()}
	transport := &http.Transport{MaxIdleConnsPerHost: 8, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	store := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(backend) }}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if f == nil || !f(rw, r, store) {
			store.ServeHTTP(rw, r)
		}
	})
}

// behind puts the store's public URLs behind a front.
func (w *world) behind(t testing.TB, base string) {
	t.Helper()
	s, was := w.store(), w.shops[0].Gate.URL
	s["url"] = strings.Replace(w.shops[0].URL("{digest}"), was, base, 1)
	s["inventory"].(proxy.Map)["url"] = strings.Replace(w.shops[0].Base, was, base, 1) + "inventory/"
}
