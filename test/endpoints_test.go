package test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"ociproxy/test/ctl"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

const (
	listPath = "/.well-known/oci-proxy/endpoints.json"
	feedPath = "/.well-known/oci-proxy/endpoints.atom"
)

// announcing is a config with a store from whose date on clients in Virginia, such as this machine, are sent there.
func announcing(store string, from time.Time) proxy.Config {
	return proxy.Config{
		"location":  "aws/us-east-1",
		"ranges":    proxy.Map{"overrides": proxy.List{proxy.Map{"cidr": "127.0.0.0/8", "place": "aws/us-east-1"}}},
		"names":     proxy.List{proxy.Map{"hosts": proxy.List{"direct.example"}, "role": "direct", "candidates": proxy.List{"us"}}},
		"endpoints": proxy.Map{"notice": "336h"},
		"upstreams": proxy.List{proxy.Map{"name": "us", "url": "https://upstream.invalid", "place": "gcp/us-central1", "canonical": true}},
		"stores": proxy.List{proxy.Map{
			"name": "va", "url": store + "/{digest}", "insecure": true, "place": "aws/us-east-1", "serves": proxy.List{"aws"},
			"announce": proxy.Map{"from": from.UTC().Format(time.RFC3339)},
		}},
	}
}

// under sends a request under a name of the registry.
func under(t *testing.T, p *proxy.Proxy, method, host, path string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, p.URL(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := noRedirect(&http.Transport{DisableKeepAlives: true}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// A store gets traffic when its announced date comes, not before and without a reload. The list names it all the time.
func TestAnnouncedStore(t *testing.T) {
	store := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, strings.Repeat("0", 64)) { // the probes ask for a digest that cannot exist
			rw.WriteHeader(http.StatusNotFound)
			return
		}
		rw.Header().Set("Content-Length", "0")
	}))
	defer store.Close()
	proxy.Binary(t) // building takes its time
	from := time.Now().Add(20 * time.Second).Truncate(time.Second)
	p := proxy.Start(t, announcing(store.URL, from))
	before := 0
	parts.Poll(t, 2*time.Minute, "traffic to the store", func() error {
		// A HEAD never counts as a second try.
		resp, _ := under(t, p, http.MethodHead, "registry.example", "/v2/a/blobs/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
		now, to := time.Now(), resp.Header.Get("Location")
		switch {
		case strings.HasPrefix(to, store.URL) && now.Before(from):
			t.Fatalf("%s before its date a client is sent to the store", from.Sub(now))
		case strings.HasPrefix(to, store.URL):
			return nil
		case now.Before(from):
			before++
		}
		return fmt.Errorf("%d, to %q", resp.StatusCode, to)
	})
	if before == 0 {
		t.Fatal("the server began after the date: nothing was tested")
	}
	if !strings.Contains(p.Output.String(), "va: filling → active") {
		t.Error("the log does not tell of the date")
	}
}

// Users get the list and the feed of a running server, with a tag, and for a direct name only its hosts.
func TestPublishedEndpoints(t *testing.T) {
	p := proxy.Start(t, announcing("http://store.invalid:8080", time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC)))
	list, body := under(t, p, http.MethodGet, "registry.example", listPath)
	if list.StatusCode != 200 || !strings.Contains(body, `"store.invalid"`) || !strings.Contains(body, `"since": "2999-01-01T00:00:00Z"`) {
		t.Fatalf("%d %s", list.StatusCode, body)
	}
	tag := list.Header.Get("ETag")
	for path, kind := range map[string]string{listPath: "application/json", feedPath: "application/atom+xml"} {
		get, text := under(t, p, http.MethodGet, "registry.example", path)
		head, none := under(t, p, http.MethodHead, "registry.example", path)
		if get.Header.Get("Content-Type") != kind || none != "" || head.ContentLength != int64(len(text)) || head.Header.Get("ETag") != get.Header.Get("ETag") {
			t.Errorf("%s: GET %v, HEAD %v", path, get.Header, head.Header)
		}
		same, none := under(t, p, http.MethodGet, "registry.example", path, "If-None-Match", get.Header.Get("ETag"))
		if same.StatusCode != 304 || none != "" {
			t.Errorf("%s with its tag: %d", path, same.StatusCode)
		}
	}
	if _, direct := under(t, p, http.MethodGet, "direct.example", listPath); strings.Contains(direct, "store.invalid") || !strings.Contains(direct, "upstream.invalid") {
		t.Errorf("the list of the direct name: %s", direct)
	}
	if other, _ := under(t, p, http.MethodGet, "direct.example", listPath, "If-None-Match", tag); other.StatusCode != 200 {
		t.Errorf("the direct name takes the tag of another list: %d", other.StatusCode)
	}
	_, feed := under(t, p, http.MethodGet, "registry.example", feedPath)
	dec := xml.NewDecoder(strings.NewReader(feed))
	for {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the feed is no XML: %v\n%s", err, feed)
		}
	}
	if signed, text := under(t, p, http.MethodGet, "registry.example", "/.well-known/oci-proxy/endpoints.dsse.json"); signed.StatusCode != 404 || !strings.Contains(text, `"UNSUPPORTED"`) {
		t.Errorf("a signed list that is not there: %d %s", signed.StatusCode, text)
	}
	// The server and the tool make the same list of the same config.
	fetched := ctl.Run(t, ctl.Limit, nil, "endpoints", "ls", p.Addr, "--output", "json")
	made := ctl.Run(t, ctl.Limit, nil, "endpoints", "ls", "--config", p.File, "--output", "json")
	if fetched.Code != 0 || made.Code != 0 || fetched.Stdout != body || made.Stdout != body {
		t.Errorf("fetched: %v\nmade: %v", fetched, made)
	}
}
