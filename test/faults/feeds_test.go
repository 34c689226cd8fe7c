package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"ociproxy/test/proxy"
)

// feedServer publishes which addresses are in which place.
type feedServer struct {
	url     string
	handler atomic.Pointer[http.HandlerFunc]
}

func newFeedServer(t *testing.T) *feedServer {
	t.Helper()
	f := &feedServer{}
	f.publish(goodFeed(4))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*f.handler.Load())(w, r) }))
	t.Cleanup(server.Close)
	f.url = server.URL + "/ranges.csv"
	return f
}

func (f *feedServer) answer(h http.HandlerFunc) { f.handler.Store(&h) }

func (f *feedServer) publish(text string) {
	f.answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
}

// goodFeed lists the places, and n more /10 networks.
func goodFeed(n int) string {
	var b strings.Builder
	for _, p := range places {
		if p.at != "" {
			fmt.Fprintf(&b, "%s,%s\n", p.net, p.at)
		}
	}
	for i := range n {
		fmt.Fprintf(&b, "%d.0.0.0/10,aws/eu-west-1\n", 50+i)
	}
	return b.String()
}

// located asks the proxy for the place of a machine of p.
func located(w *world, p place) (string, error) {
	resp, err := scraper.Get("http://" + w.proxy.Admin + "/explain?path=&ip=" + p.machine(1).String())
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct{ Place string }
	return answer.Place, json.NewDecoder(resp.Body).Decode(&answer)
}

// everybodyLocated checks that the last good ranges are in use.
func everybodyLocated(w *world, _ metrics) error {
	for _, p := range places {
		if got, err := located(w, p); err != nil || got != p.at {
			return fmt.Errorf("machines of %s are in %q, %w", p.name, got, err)
		}
	}
	return nil
}

// feedFault returns a fault whose feed turns bad after it was good.
func feedFault(name string, answer http.HandlerFunc) fault {
	return fault{
		name: "feed " + name, options: options{feed: true}, unnoticed: true,
		strike: func(_ *testing.T, w *world) { w.feed.answer(answer) },
		sees:   all(rises("ociproxy_feed_failing", `feed="csv"`), everybodyLocated),
	}
}

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) }
}

func feedFaults() []fault {
	cities := ""
	return []fault{
		feedFault("garbage", text("\x00\xff{{{ this is no list of ranges")),
		feedFault("half", func(w http.ResponseWriter, _ *http.Request) {
			all := goodFeed(4)
			w.Header().Set("Content-Length", fmt.Sprint(len(all)))
			_, _ = io.WriteString(w, all[:len(all)/2])
		}),
		feedFault("shrunk", text(goodFeed(0))),
		feedFault("grown", text(goodFeed(20))),
		feedFault("answers 500", status(500)),
		feedFault("gone", status(404)),
		{name: "feed absent from the start", options: options{feed: true, prepare: func(_ *testing.T, w *world) { w.feed.answer(status(404)) }},
			sees: rises("ociproxy_feed_failing", `feed="csv"`), unnoticed: true},
		{
			name: "GeoIP file replaced", unnoticed: true,
			options: options{configure: func(t *testing.T, w *world, c proxy.Config) {
				cities = filepath.Join(t.TempDir(), "cities.mmdb")
				writeCities(t, cities, 52.5, 13.4, "DE")
				c["ranges"].(proxy.Map)["geoip"] = proxy.Map{"city": cities}
				c["ranges"].(proxy.Map)["refresh"] = "1s"
			}},
			strike: func(t *testing.T, w *world) {
				// First a bad replacement: in place, and only half of the file.
				whole, err := os.ReadFile(cities)
				if err == nil {
					err = os.WriteFile(cities, whole[:len(whole)/2], 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
				failing := func(want float64) func(*world, metrics) error {
					return func(_ *world, m metrics) error {
						return m.want(want, want, "ociproxy_feed_failing", `feed="geoip-city"`)
					}
				}
				w.poll(t, "half a file refused", failing(1))
				writeCities(t, cities, 37.4, -122.1, "US")
				w.poll(t, "new file taken", failing(0))
			},
			sees: func(w *world, _ metrics) error {
				// A client of no cloud must be located by GeoIP.
				resp, err := scraper.Get("http://" + w.proxy.Admin + "/explain?path=&ip=" + home.machine(1).String())
				if err != nil {
					return err
				}
				defer resp.Body.Close()
				answer, err := io.ReadAll(resp.Body)
				if err == nil && !bytes.Contains(answer, []byte(`"by": "geoip"`)) {
					err = fmt.Errorf("not by GeoIP: %s", answer)
				}
				return err
			},
		},
	}
}

// writeCities makes a database that locates the machines at home, and renames it into place.
func writeCities(t *testing.T, file string, lat, lon float64, country string) {
	t.Helper()
	w, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Test-City", IncludeReservedNetworks: true, RecordSize: 24})
	if err != nil {
		t.Fatal(err)
	}
	_, net, err := net.ParseCIDR(home.net.String())
	if err == nil {
		err = w.Insert(net, mmdbtype.Map{
			"country":  mmdbtype.Map{"iso_code": mmdbtype.String(country)},
			"location": mmdbtype.Map{"latitude": mmdbtype.Float64(lat), "longitude": mmdbtype.Float64(lon)},
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file+".new", b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}
