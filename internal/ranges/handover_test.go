package ranges

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
)

// TestReloadKeepsFeeds guards against a bug: a reload that changed anything under `ranges` forgot all feeds that were
// only in memory. Without the network, the server could then not locate any client.
func TestReloadKeepsFeeds(t *testing.T) {
	p := newProvider(t)
	cfg := p.config(t)
	cfg.Cache = ""
	before := mustNew(t, cfg, Options{Client: p.Client()})
	if err := before.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.set("/aws", status(500))
	if err := before.Refresh(t.Context()); err == nil {
		t.Fatal("want an error")
	}
	p.set("/gcp", status(404))
	want := before.Status()
	asked := p.count("/aws")

	cfg.Refresh = 2 * time.Hour
	cfg.Feeds = []config.Feed{cfg.Feeds[1], cfg.Feeds[0], {Provider: config.Oracle, URL: p.URL + "/oracle"}}
	after := mustNew(t, cfg, Options{Client: p.Client(), Previous: before})
	if p.count("/aws") != asked {
		t.Error("New asked the network")
	}
	for addr, want := range map[string]string{"52.9.0.1": "aws/us-east-1", "34.1.208.1": "gcp/africa-south1"} {
		if got := where(after, addr); got != want {
			t.Errorf("%s = %q, want %q", addr, got, want)
		}
	}
	got := after.Status()
	for i, j := range []int{1, 0} {
		got[i].Age, want[j].Age = 0, 0
		if diff := cmp.Diff(want[j], got[i]); diff != "" {
			t.Errorf("status of %s (-before +after)\n%s", got[i].Name, diff)
		}
	}
	expect(t, after, 2, "oracle none rows=0")

	// The guards still compare with that copy, and its validators are still valid.
	p.set("/aws", static(awsFeed(5)))
	if err := after.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), "feed aws: ") || !strings.Contains(err.Error(), "shrinks by 50 %") {
		t.Errorf("Refresh: %v", err)
	}
	conditional := ""
	p.set("/aws", func(w http.ResponseWriter, r *http.Request) {
		conditional = r.Header.Get("If-None-Match")
		w.WriteHeader(http.StatusNotModified)
	})
	table := after.Table()
	_ = after.Refresh(t.Context()) // gcp and oracle are still gone
	expect(t, after, 1, "aws url rows=10 failures=0")
	if conditional == "" || after.Table() != table {
		t.Errorf("If-None-Match %q; the table was rebuilt: %v", conditional, after.Table() != table)
	}
}

// TestReloadLocatesAgain checks that the copy taken over is parsed with the places of the new map.
func TestReloadLocatesAgain(t *testing.T) {
	p := newProvider(t)
	cfg := p.config(t)
	cfg.Cache = ""
	cfg.Feeds = []config.Feed{{Provider: config.CSV, URL: p.URL + "/own"}}
	p.set("/own", static("192.0.2.0/24,aws/moon-1\n"))
	before := mustNew(t, cfg, Options{Client: p.Client()})
	if err := before.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	moon := place.Site{Place: place.Place{Cloud: "aws", Region: "moon-1"}, Spot: place.Spot{Point: place.Point{Lat: 1, Lon: 1}, Country: "DE"}}
	m, err := place.Embedded().With(moon)
	if err != nil {
		t.Fatal(err)
	}
	after, err := New(cfg, m, Options{Client: p.Client(), Previous: before})
	if err != nil {
		t.Fatal(err)
	}
	if was, is := where(before, "192.0.2.1"), where(after, "192.0.2.1"); was != "aws" || is != "aws/moon-1" {
		t.Errorf("was %q, is %q", was, is)
	}
	if s := after.Status()[0]; s.Unknown != 0 {
		t.Errorf("status %+v", s)
	}
}

// TestReloadIntoAnotherCache checks that a copy taken over is written to the new directory, so that a restart finds
// it.
func TestReloadIntoAnotherCache(t *testing.T) {
	p := newProvider(t)
	cfg := p.config(t)
	before := mustNew(t, cfg, Options{Client: p.Client()})
	if err := before.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	cfg.Cache = t.TempDir()
	mustNew(t, cfg, Options{Client: p.Client(), Previous: before})
	expect(t, mustNew(t, cfg, Options{Client: p.Client()}), 0, "aws cache rows=10 failures=0")

	// If the directory cannot be written, the status says so, and the copy stays in use.
	cfg.Cache = filepath.Join(cfg.Cache, "ranges", "aws") // a file
	expect(t, mustNew(t, cfg, Options{Client: p.Client(), Previous: before}), 0, "aws url rows=10 failures=0 rejected=0 keep last good copy: ")
}

// TestReloadKeepsFiles checks that the good copy of a file, or of a GeoIP file, stays in use when the file breaks
// just before a reload.
func TestReloadKeepsFiles(t *testing.T) {
	dir := t.TempDir()
	own, city := filepath.Join(dir, "own.csv"), filepath.Join(dir, "city.mmdb")
	write := func(csv string, mmdb []byte) {
		t.Helper()
		if err := errors.Join(os.WriteFile(own, []byte(csv), 0o600), os.WriteFile(city, mmdb, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write("192.0.2.0/24,aws/us-east-1\n", mmdb(t, "GeoLite2-City", map[string]mmdbtype.Map{"198.51.100.0/24": {"country": country("FR")}}))
	cfg := config.Ranges{Feeds: []config.Feed{{Provider: config.CSV, File: own}}, GeoIP: config.GeoIP{City: city}}
	before := mustNew(t, cfg, Options{})
	write("garbage", []byte("garbage"))
	cfg.Refresh = time.Hour
	after := mustNew(t, cfg, Options{Previous: before})
	if got := where(after, "192.0.2.1"); got != "aws/us-east-1" {
		t.Errorf("located %q", got)
	}
	expect(t, after, 0, "csv file rows=1 failures=1 rejected=1")
	if c := after.Locate(netip.MustParseAddr("198.51.100.1")); c.Spot.Country != "FR" || after.Status()[1].LastError == "" {
		t.Errorf("by GeoIP: %+v; %s", c, short(after.Status()[1]))
	}
}

// TestReloadTakesNewerSeed checks that a reload, like a start, reads a seed that is newer than the copy in use.
func TestReloadTakesNewerSeed(t *testing.T) {
	p := newProvider(t)
	cfg := p.config(t)
	cfg.Cache, cfg.Seed = "", t.TempDir()
	name := filepath.Join(cfg.Seed, "aws.json")
	write := func(rows int, at time.Time) {
		t.Helper()
		if err := errors.Join(os.WriteFile(name, []byte(awsFeed(rows)), 0o600), os.Chtimes(name, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	write(8, time.Now().Add(-time.Hour))
	before := mustNew(t, cfg, Options{Client: p.Client()})
	write(9, time.Now().Add(-time.Minute))
	expect(t, mustNew(t, cfg, Options{Client: p.Client(), Previous: before}), 0, "aws seed rows=9")
	if err := before.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, mustNew(t, cfg, Options{Client: p.Client(), Previous: before}), 0, "aws url rows=10")
}

// TestMissingSeed guards against a bug: a seed under a wrong name, geofeed-linode.csv, was ignored without a warning.
func TestMissingSeed(t *testing.T) {
	p := newProvider(t)
	cfg := p.config(t)
	cfg.Cache, cfg.Seed = "", t.TempDir()
	cfg.Feeds = append(cfg.Feeds,
		config.Feed{Provider: config.Geofeed, Cloud: "linode", URL: p.URL + "/linode"},
		config.Feed{Provider: config.CSV, File: filepath.Join(cfg.Seed, "own")})
	for name, text := range map[string]string{
		"aws.json": awsFeed(3), "gcp": gcpFeed, "geofeed-linode.csv": "45.33.0.0/17,US,US-NJ,Newark,\n", "own": "10.0.0.0/9,aws\n",
	} {
		if err := os.WriteFile(filepath.Join(cfg.Seed, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	opts := Options{Client: p.Client(), Logger: slog.New(slog.NewTextHandler(&log, nil))}
	r := mustNew(t, cfg, opts)
	var lacking []string
	for _, s := range r.Status() {
		if s.NoSeed {
			lacking = append(lacking, s.Name)
		}
	}
	if diff := cmp.Diff([]string{"linode"}, lacking); diff != "" {
		t.Errorf("without seed (-want +got)\n%s", diff)
	}
	if n := strings.Count(log.String(), "has no file"); n != 1 || !strings.Contains(log.String(), "linode.json, linode.csv or linode") {
		t.Errorf("log:\n%s", log.String())
	}
	cfg.Seed = ""
	if r := mustNew(t, cfg, opts); r.Status()[2].NoSeed {
		t.Error("no seed directory, and the feed is said to lack its file")
	}
}

// TestRefreshNamesTheLateFeed guards against a bug: a time-out was returned without the name of the feed.
func TestRefreshNamesTheLateFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &http.Client{Transport: transport(func(r *http.Request) (int, string, error) {
			if r.URL.Path == "/aws" {
				return 200, awsFeed(3), nil
			}
			<-r.Context().Done() // hangs
			return 0, "", r.Context().Err()
		})}
		r := mustNew(t, config.Ranges{Refresh: 6 * time.Hour, Feeds: []config.Feed{
			{Provider: config.AWS, URL: "https://feeds.example/aws"},
			{Provider: config.GCP, URL: "https://feeds.example/gcp"},
		}}, Options{Client: client})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := r.Refresh(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "feed gcp: ") {
			t.Errorf("Refresh: %v", err)
		}
	})
}
