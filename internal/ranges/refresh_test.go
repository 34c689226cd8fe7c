package ranges

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
)

// provider is a server of feeds. Tests change its answers.
type provider struct {
	*httptest.Server
	mu    sync.Mutex
	feeds map[string]http.HandlerFunc // by path
	asked map[string]int
}

func newProvider(t *testing.T) *provider {
	p := &provider{feeds: map[string]http.HandlerFunc{}, asked: map[string]int{}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		h := p.feeds[r.URL.Path]
		p.asked[r.URL.Path]++
		p.mu.Unlock()
		if h == nil {
			http.NotFound(w, r)
			return
		}
		h(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) set(path string, h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.feeds[path] = h
}

func (p *provider) count(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[path]
}

// static answers with a body, or with 304 to a client that already has it.
func static(body string) http.HandlerFunc {
	etag := fmt.Sprintf(`"%d"`, len(body))
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = io.WriteString(w, body)
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// awsFeed lists n prefixes of length /16 in us-east-1, starting at 52.0.0.0.
func awsFeed(n int) string {
	var b strings.Builder
	b.WriteString(`{"prefixes":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"ip_prefix":"52.%d.0.0/16","region":"us-east-1"}`, i)
	}
	b.WriteString(`]}`)
	return b.String()
}

const gcpFeed = `{"prefixes":[{"ipv4Prefix":"34.1.208.0/20","scope":"africa-south1"}]}`

func (p *provider) config(t *testing.T) config.Ranges {
	p.set("/aws", static(awsFeed(10)))
	p.set("/gcp", static(gcpFeed))
	return config.Ranges{
		Refresh: time.Hour,
		Cache:   t.TempDir(),
		Feeds: []config.Feed{
			{Provider: config.AWS, URL: p.URL + "/aws"},
			{Provider: config.GCP, URL: p.URL + "/gcp"},
		},
	}
}

func where(r *Ranges, addr string) string { return r.Locate(netip.MustParseAddr(addr)).Place.String() }

// short returns the part of a status that tests compare.
func short(s FeedStatus) string {
	return fmt.Sprintf("%s %s rows=%d failures=%d rejected=%d %s", s.Name, or(s.From, "none"), s.Rows, s.Failures, s.Rejected, s.LastError)
}

func expect(t *testing.T, r *Ranges, feed int, want string) {
	t.Helper()
	got := short(r.Status()[feed])
	if !strings.HasPrefix(got, want) {
		t.Errorf("status %q, want %q", got, want)
	}
}

// TestFaultyFeed checks faults of one feed. With each fault, the last good copy stays in use and survives a restart,
// the status reports the fault, and the other feed is not affected.
func TestFaultyFeed(t *testing.T) {
	body := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) }
	}
	good := awsFeed(10)
	more := strings.TrimSuffix(good, "]}")
	for name, tt := range map[string]struct {
		handler  http.HandlerFunc
		want     string
		rejected int
	}{
		"garbage": {body("\x00\x01garbage"), "not JSON", 1},
		"half":    {body(good[:len(good)/2]), "not JSON", 1},
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99999")
			_, _ = io.WriteString(w, good)
		}, "unexpected EOF", 0},
		"shrunk":        {body(awsFeed(7)), "guard: IPv4 space shrinks by 30 %", 1},
		"grown":         {body(awsFeed(16)), "guard: IPv4 space grows by 60 %", 1},
		"empty list":    {body(`{"prefixes":[]}`), "guard: no prefixes", 1},
		"empty":         {body(""), "empty", 0},
		"short v4":      {body(more + `,{"ip_prefix":"52.0.0.0/7","region":"us-east-1"}]}`), "shorter than /8", 1},
		"short v6":      {body(more + `,{"ipv6_prefix":"2600::/19","region":"us-east-1"}]}`), "shorter than /20", 1},
		"private":       {body(more + `,{"ip_prefix":"10.1.0.0/16","region":"us-east-1"}]}`), "not public", 1},
		"documentation": {body(more + `,{"ip_prefix":"192.0.2.0/24","region":"us-east-1"}]}`), "not public", 1},
		"html":          {body("<!doctype html><p>Log in"), "HTML", 0},
		"500":           {status(500), "status 500", 0},
		"404":           {status(404), "status 404", 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			cfg := p.config(t)
			r := mustNew(t, cfg, Options{Client: p.Client()})
			if got := where(r, "52.0.0.1"); got != "" {
				t.Errorf("before the first refresh: %s", got)
			}
			if err := r.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			expect(t, r, 0, "aws url rows=10 failures=0 rejected=0 ")
			p.set("/aws", tt.handler)
			err := r.Refresh(t.Context())
			if err == nil || !strings.Contains(err.Error(), "feed aws: ") || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "gcp") {
				t.Errorf("Refresh: %v, want %q", err, tt.want)
			}
			s := r.Status()[0]
			if s.Failures == 0 || s.Rejected != tt.rejected || !strings.Contains(s.LastError, tt.want) || s.Rows != 10 {
				t.Errorf("status %s", short(s))
			}
			expect(t, r, 1, "gcp url rows=1 failures=0")

			again := mustNew(t, cfg, Options{Client: p.Client()})
			expect(t, again, 0, "aws cache rows=10 failures=0")
			for _, r := range []*Ranges{r, again} {
				if a, g := where(r, "52.9.0.1"), where(r, "34.1.208.1"); a != "aws/us-east-1" || g != "gcp/africa-south1" {
					t.Errorf("located %q and %q", a, g)
				}
			}
			if err := again.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Refresh after a restart: %v, want %q", err, tt.want)
			}
			expect(t, again, 0, "aws cache rows=10")
			p.set("/aws", static(awsFeed(12)))
			if err := again.Refresh(t.Context()); err != nil {
				t.Error(err)
			}
			expect(t, again, 0, "aws url rows=12 failures=0")
		})
	}
}

func TestNotModified(t *testing.T) {
	p := newProvider(t)
	r := mustNew(t, p.config(t), Options{Client: p.Client()})
	for range 2 {
		if err := r.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	before := r.Table()
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.Table() != before {
		t.Error("the table was rebuilt for nothing")
	}
	if s := r.Status()[0]; s.Age > time.Minute || s.LastGood.IsZero() || s.From != "url" {
		t.Errorf("status %s, age %v", short(s), s.Age)
	}
}

// TestStart checks which copy a start uses: the copy on disk if it is newer than the seed, else the seed, else none.
func TestStart(t *testing.T) {
	old, recent := time.Now().Add(-48*time.Hour), time.Now().Add(48*time.Hour)
	seed := func(t *testing.T, body string, at time.Time) string {
		dir := t.TempDir()
		name := filepath.Join(dir, "aws.json")
		if err := errors.Join(os.WriteFile(name, []byte(body), 0o600), os.Chtimes(name, at, at)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for _, tt := range []struct {
		name   string
		seed   string
		at     time.Time
		cached bool
		damage bool
		want   string
	}{
		{"nothing", "", old, false, false, "aws none rows=0 failures=0 rejected=0 "},
		{"seed", awsFeed(9), old, false, false, "aws seed rows=9 failures=0"},
		{"cache newer than seed", awsFeed(9), old, true, false, "aws cache rows=10 failures=0"},
		{"seed newer than cache", awsFeed(9), recent, true, false, "aws seed rows=9 failures=0"},
		{"cache damaged", awsFeed(9), old, true, true, "aws seed rows=9 failures=1 rejected=0 read "},
		{"cache damaged, no seed", "", old, true, true, "aws none rows=0 failures=1 rejected=0 read "},
		{"seed garbage", "garbage", recent, true, false, "aws cache rows=10 failures=1"},
		{"seed garbage, no cache", "garbage", recent, false, false, "aws none rows=0 failures=1"},
		{"seed with a bogon", strings.Replace(awsFeed(9), "52.8.0.0", "10.8.0.0", 1), recent, false, false, "aws none rows=0 failures=1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProvider(t)
			cfg := p.config(t)
			if tt.cached {
				if err := mustNew(t, cfg, Options{Client: p.Client()}).Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if tt.damage {
				if err := os.WriteFile(filepath.Join(cfg.Cache, "ranges", "aws"), []byte("{"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if tt.seed != "" {
				cfg.Seed = seed(t, tt.seed, tt.at)
			}
			asked := p.count("/aws")
			r := mustNew(t, cfg, Options{Client: p.Client()})
			expect(t, r, 0, tt.want)
			if p.count("/aws") != asked {
				t.Error("New asked the network")
			}
			if err := r.Refresh(t.Context()); err != nil {
				t.Error(err)
			}
			expect(t, r, 0, "aws url rows=10 failures=0") // whatever copy it started with
		})
	}
}

// TestSeedIsTheBaseline checks that without network the seed is in use and the guards compare with it.
func TestSeedIsTheBaseline(t *testing.T) {
	p := newProvider(t)
	cfg := p.config(t)
	cfg.Cache, cfg.Seed = "", t.TempDir()
	if err := os.WriteFile(filepath.Join(cfg.Seed, "aws"), []byte(awsFeed(20)), 0o600); err != nil {
		t.Fatal(err)
	}
	r := mustNew(t, cfg, Options{Client: p.Client()})
	if err := r.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), "shrinks by 50 %") {
		t.Errorf("Refresh: %v", err)
	}
	if got := where(r, "52.19.0.1"); got != "aws/us-east-1" {
		t.Errorf("located %q", got)
	}
}

func TestLocalFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "office.csv")
	clock := time.Now().Add(-time.Hour)
	write := func(body string) {
		t.Helper()
		clock = clock.Add(time.Second)
		if err := errors.Join(os.WriteFile(path, []byte(body), 0o600), os.Chtimes(path, clock, clock)); err != nil {
			t.Fatal(err)
		}
	}
	write("192.0.2.0/24,aws/us-east-1\n10.0.0.0/9,aws\n2001:db8::/32,aws/nowhere-1\n")
	cfg := config.Ranges{Feeds: []config.Feed{{Provider: config.CSV, File: path}, {Provider: config.CSV, File: path}}}
	r := mustNew(t, cfg, Options{})
	expect(t, r, 0, "csv file rows=3 failures=0")
	expect(t, r, 1, "csv-2 file rows=3")
	s := r.Status()[0]
	if d := cmp.Diff([]string{"(none)", "nowhere-1"}, s.UnknownRegions); d != "" || s.Unknown != 2 {
		t.Errorf("unknown %d (-want +got)\n%s", s.Unknown, d)
	}
	if !s.LastGood.Equal(clock) {
		t.Errorf("LastGood %v, want the file's time", s.LastGood)
	}
	for addr, want := range map[string]string{"192.0.2.1": "aws/us-east-1", "10.1.1.1": "aws", "2001:db8::1": "aws", "10.200.0.1": ""} {
		if got := where(r, addr); got != want {
			t.Errorf("%s = %q, want %q", addr, got, want)
		}
	}
	write("192.0.2.0/24,aws/us-west-2\n10.0.0.0/9,aws\n2001:db8::/32,asw/us-east-1\n")
	if err := r.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), `cloud "asw" is not on the map`) {
		t.Errorf("Refresh: %v", err)
	}
	write("192.0.2.0/24,aws/us-west-2\n10.0.0.0/9,aws\n2001:db8::/32,aws/us-east-1\n")
	if err := r.Refresh(t.Context()); err != nil {
		t.Error(err)
	}
	if got := where(r, "192.0.2.1"); got != "aws/us-west-2" {
		t.Errorf("after the change: %q", got)
	}
}

// A changed file is read within a minute, or at the next refresh if that is sooner.
func TestLocalFilePace(t *testing.T) {
	for refresh, want := range map[time.Duration]time.Duration{6 * time.Hour: time.Minute, time.Second: time.Second} {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "office.csv")
			write := func(body string, at time.Time) {
				if err := errors.Join(os.WriteFile(path, []byte(body), 0o600), os.Chtimes(path, at, at)); err != nil {
					t.Fatal(err)
				}
			}
			write("192.0.2.0/24,aws/us-east-1\n", time.Now())
			r := mustNew(t, config.Ranges{Refresh: refresh, Feeds: []config.Feed{{Provider: config.CSV, File: path}}}, Options{})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { r.Run(ctx); close(done) }()
			synctest.Wait()
			write("192.0.2.0/24,aws/us-west-2\n", time.Now().Add(time.Second))
			for _, at := range []struct {
				passed time.Duration
				place  string
			}{{want * 8 / 10, "aws/us-east-1"}, {want * 4 / 10, "aws/us-west-2"}} {
				<-time.After(at.passed) // on synctest's clock
				synctest.Wait()
				if got := where(r, "192.0.2.1"); got != at.place {
					t.Errorf("refresh %v: %q, want %s", refresh, got, at.place)
				}
			}
			cancel()
			<-done
		})
	}
}

func TestNewRefuses(t *testing.T) {
	for name, cfg := range map[string]config.Ranges{
		"provider":        {Feeds: []config.Feed{{Provider: "ibm", URL: "https://example.org"}}},
		"neither url":     {Feeds: []config.Feed{{Provider: config.Azure}}},
		"geofeed cloud":   {Feeds: []config.Feed{{Provider: config.Geofeed, URL: "https://example.org"}}},
		"override cloud":  {Overrides: []config.RangeOverride{{CIDR: netip.MustParsePrefix("192.0.2.0/24"), Place: place.Place{Cloud: "x"}}}},
		"override place":  {Overrides: []config.RangeOverride{{CIDR: netip.MustParsePrefix("192.0.2.0/24"), Place: place.Place{Cloud: "aws", Region: "x"}}}},
		"override prefix": {Overrides: []config.RangeOverride{{Place: place.Place{Cloud: "aws"}}}},
		"geoip cloud":     {GeoIP: config.GeoIP{Clouds: map[uint32]string{64496: "x"}}},
	} {
		if _, err := New(cfg, place.Embedded(), Options{}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// transport answers without a network, so that time in the test is virtual.
type transport func(*http.Request) (int, string, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) {
	code, body, err := f(r)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// TestRun checks that each feed is refreshed on its own schedule. A feed that hangs or fails does not delay the
// others, and is asked again before its next interval.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		asked := map[string][]time.Duration{}
		start := time.Now()
		client := &http.Client{Transport: transport(func(r *http.Request) (int, string, error) {
			mu.Lock()
			asked[r.URL.Path] = append(asked[r.URL.Path], time.Since(start))
			mu.Unlock()
			switch r.URL.Path {
			case "/aws":
				return 200, awsFeed(3), nil
			case "/gcp":
				return 503, "", nil
			}
			<-r.Context().Done() // hangs
			return 0, "", r.Context().Err()
		})}
		r := mustNew(t, config.Ranges{Refresh: 6 * time.Hour, Feeds: []config.Feed{
			{Provider: config.AWS, URL: "https://feeds.example/aws"},
			{Provider: config.GCP, URL: "https://feeds.example/gcp"},
			{Provider: config.Oracle, URL: "https://feeds.example/oracle"},
		}}, Options{Client: client, Logger: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		done := make(chan struct{})
		go func() { r.Run(ctx); close(done) }()

		synctest.Wait()
		if got := where(r, "52.0.0.1"); got != "aws/us-east-1" {
			t.Errorf("while another feed hangs: %q", got)
		}
		<-done
		if n := len(asked["/aws"]); n < 4 || n > 5 {
			t.Errorf("aws was asked %d times in a day, want every 6 h", n)
		}
		// Three attempts per refresh; refreshes after 1, 2, 4 … minutes up to 6 hours.
		g := asked["/gcp"]
		if len(g) < 30 || len(g) > 45 || g[2] > 2*time.Second || g[3] < 50*time.Second || g[3] > 70*time.Second {
			t.Errorf("gcp was asked %d times: %v", len(g), g)
		}
		expect(t, r, 0, "aws url rows=3 failures=0")
		expect(t, r, 1, "gcp none rows=0 failures="+fmt.Sprint(len(g))+" rejected=0 get https://feeds.example/gcp: status 503")
	})
}

func ExampleRanges_Locate() {
	r, err := New(config.Ranges{Overrides: []config.RangeOverride{
		{CIDR: netip.MustParsePrefix("198.51.100.0/24"), Place: place.Place{Cloud: "aws", Region: "eu-west-1"}},
	}}, place.Embedded(), Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	c := r.Locate(netip.MustParseAddr("198.51.100.7"))
	fmt.Println(c.Place, "by", c.By, c.Entry.Prefix)
	// Output: aws/eu-west-1 by override 198.51.100.0/24
}
