// Package fleetconsole looks at real instances through a real Prometheus with `oci-proxyctl console`.
package fleetconsole

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ociproxy/test/ctl"
	"ociproxy/test/parts"
	"ociproxy/test/prometheus"
	"ociproxy/test/proxy"
)

// seen is a part of what the console prints.
type seen struct {
	Instances  int     `json:"instances"`
	Ready      int     `json:"ready"`
	Requests   float64 `json:"requestsPerSecond"`
	Dollars    float64 `json:"dollarsPerHour"`
	Candidates []struct {
		Name  string    `json:"name"`
		State string    `json:"state"`
		Since time.Time `json:"since"`
		Out   int       `json:"out"`
		Of    int       `json:"instances"`
		Bytes float64   `json:"bytesPerSecond"`
		Moved []struct {
			To    string  `json:"to"`
			Bytes float64 `json:"bytesPerSecond"`
			Extra float64 `json:"extraDollarsPerHour"`
		} `json:"moved"`
	} `json:"candidates"`
	Problems []struct {
		Text string `json:"text"`
	} `json:"problems"`
}

// TestSlowFleetConsole: two instances serve clients, and a store of theirs dies. The console of the fleet says that it
// is out on both, since when, and where its traffic went; and that an instance cannot be scraped.
func TestSlowFleetConsole(t *testing.T) {
	blob := bytes.Repeat([]byte("layer "), 100_000)
	sum := sha256.Sum256(blob)
	path := "/v2/app/blobs/sha256:" + hex.EncodeToString(sum[:])
	var dead atomic.Bool
	bucket := func(dies bool) string {
		srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			switch {
			case dies && dead.Load():
				rw.WriteHeader(http.StatusServiceUnavailable)
			case strings.HasSuffix(r.URL.Path, path[len("/v2/app/blobs/"):]):
				http.ServeContent(rw, r, "", time.Time{}, bytes.NewReader(blob))
			case r.URL.Path == "/v2/":
			default:
				rw.WriteHeader(http.StatusNotFound)
			}
		}))
		t.Cleanup(srv.Close)
		return srv.URL
	}
	config := proxy.Config{
		"client":    proxy.Map{"behind": proxy.Map{"header": "X-Forwarded-For", "entry": 1}},
		"health":    proxy.Map{"interval": "1s", "idleInterval": "1s"},
		"ranges":    proxy.Map{"overrides": proxy.List{proxy.Map{"cidr": "192.0.2.0/24", "place": "aws/us-east-1"}}},
		"upstreams": proxy.List{proxy.Map{"name": "main", "url": bucket(false), "place": "gcp/us-central1", "canonical": true, "insecure": true}},
		"stores": proxy.List{proxy.Map{"name": "va", "url": bucket(true) + "/{digest}", "place": "aws/us-east-1", "serves": proxy.List{"aws"},
			"insecure": true}},
	}
	one, two := proxy.Start(t, config), proxy.Start(t, config)
	gone := parts.FreeAddr(t) // an instance that does not answer
	prom := prometheus.Start(t, time.Second, prometheus.Target{Addr: one.Admin}, prometheus.Target{Addr: two.Admin}, prometheus.Target{Addr: gone})
	client := &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	networks := 0
	pull := func() {
		for _, p := range []*proxy.Proxy{one, two} {
			networks++
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL(path), http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Forwarded-For", fmt.Sprintf("192.0.2.%d", 1+networks%250))
			if resp, err := client.Do(req); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		}
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	config.Defaults(t).Write(t, file)
	look := func() seen {
		ran := ctl.Run(t, time.Minute, nil, "console", "--prometheus", prom.URL, "--config", file, "--window", "6s", "--output", "json")
		if ran.Code != 0 {
			return seen{} // nothing was scraped yet
		}
		return ctl.Decode[seen](t, ran.Stdout)
	}
	until := func(what string, is func(s *seen) bool) (last seen) {
		t.Helper()
		parts.Poll(t, 2*time.Minute, what, func() error {
			for range 5 {
				pull()
			}
			if last = look(); !is(&last) {
				return fmt.Errorf("the console says %+v", last)
			}
			return nil
		})
		return last
	}
	// The console reads the last minute in steps of 5 s: so long va has traffic that it sees what va carried.
	carried := time.Now().Add(8 * time.Second)
	until("traffic to va is seen", func(s *seen) bool {
		return time.Now().After(carried) && s.Instances == 3 && s.Ready == 2 && s.Requests > 0 && len(s.Candidates) == 2 && s.Candidates[0].Name == "va" &&
			s.Candidates[0].State == "in service" && s.Candidates[0].Bytes > 0
	})
	died := time.Now()
	dead.Store(true)
	got := until("va is out", func(s *seen) bool {
		return len(s.Candidates) == 2 && s.Candidates[0].State == "out" && s.Candidates[0].Out == 2 && s.Candidates[1].Bytes > 0 &&
			len(s.Candidates[0].Moved) > 0
	})
	va := got.Candidates[0]
	t.Logf("%s after its death the console says: %+v; problems %+v", time.Since(died).Round(time.Second), va, got.Problems)
	if va.Name != "va" || va.Of != 2 || va.Since.Before(died.Add(-31*time.Second)) { // history has steps of 30 s
		t.Errorf("va is %+v", va)
	}
}
