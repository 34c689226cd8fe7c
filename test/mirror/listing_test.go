package mirror

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/test/ctl"
	"ociproxy/test/gate"
	"ociproxy/test/registry"
	"ociproxy/test/shop"
	"ociproxy/test/source"
)

// liar stands in front of an S3 server and changes its listings.
type liar struct {
	*httptest.Server
	lie atomic.Pointer[func(string) string]
}

func newLiar(t *testing.T, backend string) *liar {
	t.Helper()
	l := &liar{}
	forward := &httputil.ReverseProxy{
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: backend})
			r.Out.Host = r.In.Host // the host is signed
		},
		ModifyResponse: func(resp *http.Response) error {
			lie := l.lie.Load()
			if lie == nil || !strings.Contains(resp.Request.URL.RawQuery, "list-type=2") || resp.StatusCode != http.StatusOK {
				return nil
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				return err
			}
			text := (*lie)(string(body))
			resp.Body = io.NopCloser(strings.NewReader(text))
			resp.ContentLength = int64(len(text))
			resp.Header.Set("Content-Length", fmt.Sprint(len(text)))
			return nil
		},
	}
	l.Server = httptest.NewServer(forward)
	t.Cleanup(l.Close)
	return l
}

// TestListingsThatLie: the mirror decodes a listing that declares its encoding, and refuses a listing that contradicts
// itself. A listing alone never takes a blob out of an inventory.
func TestListingsThatLie(t *testing.T) {
	t.Parallel()
	r := registry.Start(t)
	src := source.New(r.Addr, prefix)
	src.Fill(t, small)
	shops := shop.StartS3(t, "us-east-1").Shops(t)
	l := newLiar(t, shops[0].Server.Backend())
	shops[0].Bucket = strings.Replace(shops[0].Bucket, shops[0].Gate.URL, l.URL, 1)
	w := newWorld(t, r, src, gate.New(t, r.Addr), shops, nil)
	if r := w.mirror(t); r.Code != 0 {
		t.Fatalf("mirror: %v", r)
	}
	before := shops[0].Inventory(t)
	one := slices.Sorted(maps.Keys(src.Blobs))[2]
	object := regexp.MustCompile(`(?s)<Contents>.*?</Contents>`)
	objectOf := func(text string) string {
		for _, o := range object.FindAllString(text, -1) {
			if strings.Contains(o, one) {
				return o
			}
		}
		return "not there"
	}
	truncated := regexp.MustCompile(`<IsTruncated>\w+</IsTruncated>`)
	counted := regexp.MustCompile(`<KeyCount>\d+</KeyCount>`)
	for name, c := range map[string]struct {
		lie func(string) string
		// refused is the reason why the list is not believed; "": the list is accepted.
		refused string
	}{
		"true": {func(s string) string { return s }, ""},
		"encoded, unasked": {func(s string) string {
			s = regexp.MustCompile(`<Key>[^<]*</Key>`).ReplaceAllStringFunc(s, func(k string) string {
				return "<Key>" + url.QueryEscape(strings.TrimSuffix(strings.TrimPrefix(k, "<Key>"), "</Key>")) + "</Key>"
			})
			return strings.Replace(s, "</ListBucketResult>", "<EncodingType>url</EncodingType></ListBucketResult>", 1)
		}, ""},
		"encoded, not declared": {func(s string) string { return strings.ReplaceAll(s, "sha256:", "sha256%3A") }, "is not below"},
		"one lacks":             {func(s string) string { return counted.ReplaceAllString(strings.Replace(s, objectOf(s), "", 1), "") }, ""},
		"one of another size": {func(s string) string {
			o := objectOf(s)
			return strings.Replace(s, o, regexp.MustCompile(`<Size>\d+</Size>`).ReplaceAllString(o, "<Size>7</Size>"), 1)
		}, ""},
		"of no size": {func(s string) string {
			return regexp.MustCompile(`<Size>\d+</Size>`).ReplaceAllString(s, "<Size>-1</Size>")
		}, "a size of -1 bytes"},
		"all lack":             {func(s string) string { return counted.ReplaceAllString(object.ReplaceAllString(s, ""), "") }, ""},
		"fewer than it counts": {func(s string) string { return strings.Replace(s, objectOf(s), "", 1) }, "keys, says the server"},
		"more, without a token": {func(s string) string {
			return truncated.ReplaceAllString(s, "<IsTruncated>true</IsTruncated>")
		}, "does not say how"},
		"the same again": {func(s string) string {
			return truncated.ReplaceAllString(s, "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>")
		}, "cannot be believed"},
		"twice":        {func(s string) string { return strings.Replace(s, objectOf(s), objectOf(s)+objectOf(s), 1) }, "twice"},
		"out of order": {func(s string) string { return strings.Replace(s, "<Contents>", objectOf(s)+"<Contents>", 1) }, "comes after"},
	} {
		t.Run(name, func(t *testing.T) {
			l.lie.Store(&c.lie)
			defer l.lie.Store(nil)
			code := 0
			if c.refused != "" {
				code = 1
			}
			// The audit asked for all names, and encoded names look like foreign objects. It then asks for the real
			// blobs one by one.
			foreign := name == "encoded, not declared"
			found, audit := w.audit(t, "--from", "listing", "--repair")
			if diff := cmp.Diff(map[string]string{}, found.found()); diff != "" && c.refused == "" || audit.Code != code && !(foreign && audit.Code == 4) {
				t.Errorf("audit: exit code %d, want %d; (-want +got)\n%s", audit.Code, code, diff)
			}
			for _, f := range found.Findings {
				if f.Digest != "" {
					t.Errorf("%+v", f)
				}
			}
			rebuild := ctl.Run(t, ctl.Limit, shop.Environment, "inventory", "rebuild", "--config", w.file, "--store", shops[0].Name)
			if rebuild.Code != code || c.refused != "" && !strings.Contains(rebuild.Stderr, "hint: until the list is right") {
				t.Errorf("rebuild: %v", rebuild)
			}
			for what, text := range map[string]string{"audit": found.Stores[0].Error, "rebuild": rebuild.Stderr} {
				if c.refused != "" && !(foreign && what == "audit") && (!strings.Contains(text, c.refused) || !strings.Contains(text, "cannot be believed")) {
					t.Errorf("%s says %q, want %q", what, text, c.refused)
				}
			}
			if diff := cmp.Diff(before, shops[0].Inventory(t)); diff != "" {
				t.Errorf("the inventory (-before +after)\n%s", diff)
			}
		})
	}
	w.whole(t)
}
