package promote

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
)

var unknownName = &registry.StatusError{Code: http.StatusNotFound, Errors: []registry.Detail{{Code: "NAME_UNKNOWN"}}}

// TestUnlistedCosts: a repository without a list costs one request if the registry answers that it does not know the
// repository, and otherwise one for each digest. Nothing that is there is treated as missing.
func TestUnlistedCosts(t *testing.T) {
	var digests []oci.Digest
	text := "images:\n- name: one\n  dmap:\n"
	for n := range 40 {
		digests = append(digests, oci.Sum("sha256", fmt.Append(nil, n)))
		text += fmt.Sprintf("    %q: [%s]\n", digests[n], []string{"", fmt.Sprintf("v%d", n), fmt.Sprintf("v%d, w%d", n, n)}[n%3])
	}
	many := registries + text
	few := strings.Join(strings.SplitAfter(many, "\n")[:strings.Count(registries, "\n")+3+manyDigests-1], "")
	for name, tt := range map[string]struct {
		text             string
		named            error
		tells            bool
		mute             error
		there            []oci.Digest // in eu.io, without a tag
		asked, probes    int
		images, promoted int64
	}{
		"it knows neither":       {text: many, named: unknownName, tells: true, asked: 0, probes: 2, images: 80, promoted: 40},
		"it knows one":           {text: many, named: unknownName, tells: true, there: digests[3:5], asked: 40 + 1, probes: 2, images: 78, promoted: 40},
		"it tells of lists only": {text: many, named: unknownName, asked: 80, probes: 2, images: 80, promoted: 40},
		"only one is there":      {text: many, named: unknownName, there: digests[3:4], asked: 80, probes: 2, images: 79, promoted: 40},
		"no reason":              {text: many, tells: true, asked: 80, images: 80, promoted: 40},
		"no answer":              {text: many, named: unknownName, tells: true, mute: errors.New("down"), asked: 80, probes: 2, images: 80, promoted: 40},
		"a few digests":          {text: few, named: unknownName, tells: true, asked: 2 * (manyDigests - 1), images: 2 * (manyDigests - 1), promoted: manyDigests - 1},
	} {
		t.Run(name, func(t *testing.T) {
			tree := plain(t, tt.text)
			w := &world{google: true, named: tt.named, tells: tt.tells, mute: tt.mute, repos: map[string]map[string]oci.Digest{"st.io/a/one": {}},
				loose: map[string][]oci.Digest{"st.io/a/one": digests, "eu.io/p/one": tt.there}}
			promoted := int64(0)
			sum, err := Make(t.Context(), tree, w, Options{}, func(*Promotion) error { promoted++; return nil })
			if err != nil || sum.Failed > 0 {
				t.Fatalf("%+v: %v", sum, err)
			}
			var images int64
			for _, d := range sum.By {
				images += d.Images
			}
			if w.resolves != tt.asked || w.probes != tt.probes || images != tt.images || promoted != tt.promoted {
				t.Errorf("%d questions, %d probes, %d images, %d promotions; want %d, %d, %d and %d",
					w.resolves, w.probes, images, promoted, tt.asked, tt.probes, tt.images, tt.promoted)
			}
		})
	}
}

// TestAskedOnce: whatever is missing where, the same question about a repository is asked only once.
func TestAskedOnce(t *testing.T) {
	for _, google := range []bool{false, true} {
		w := &world{google: google, repos: map[string]map[string]oci.Digest{"eu.io/p/two": {"v1": dig("d")}, "st.io/a/two": {}},
			loose: map[string][]oci.Digest{"st.io/a/two": {dig("b")}}}
		tree := plain(t, registries+`images: [{name: one, dmap: {$a: [v1], $b: [], $c: [x, z]}}, {name: two, dmap: {$a: [v1], $b: [v2], $c: []}}]`)
		sum, err := Make(t.Context(), tree, w, Options{}, func(*Promotion) error { return nil })
		if err != nil || sum.Failed == 0 {
			t.Fatalf("%+v: %v", sum, err)
		}
		for what, n := range w.asked {
			if n > 1 {
				t.Errorf("google=%v: %s was asked for %d times", google, what, n)
			}
		}
	}
}

// TestNameUnknown: only an answer that names the repository as unknown counts.
func TestNameUnknown(t *testing.T) {
	const body = `{"errors":[{"code":%q}]}`
	for name, tt := range map[string]struct {
		status  int
		body    string
		unknown bool
		fails   bool
	}{
		"name":           {status: 404, body: fmt.Sprintf(body, "NAME_UNKNOWN"), unknown: true},
		"gone":           {status: 410, body: fmt.Sprintf(body, "NAME_UNKNOWN"), unknown: true},
		"manifest":       {status: 404, body: fmt.Sprintf(body, "MANIFEST_UNKNOWN")},
		"no reason":      {status: 404, body: "<html>"},
		"another reason": {status: 403, body: fmt.Sprintf(body, "NAME_UNKNOWN"), fails: true},
		"other bytes":    {status: 200, body: "{}", fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v2/" {
					return
				}
				asked = append(asked, r.Method+" "+r.URL.Path)
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}))
			defer server.Close()
			regs := NewRegistries(Access{})
			defer regs.Close()
			unknown, err := regs.NameUnknown(t.Context(), strings.TrimPrefix(server.URL, "http://")+"/prod/app", dig("a"))
			if unknown != tt.unknown || (err != nil) != tt.fails {
				t.Errorf("%v, %v", unknown, err)
			}
			if want := "GET /v2/prod/app/manifests/" + dig("a").String(); len(asked) != 1 || asked[0] != want {
				t.Errorf("asked %v, want one %s", asked, want)
			}
		})
	}
}
