// Package status_test runs two monitoring probes that write one public status into a bucket of versitygw. The registry
// is distribution, behind a gate that can make it fail.
package status_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"ociproxy/test/ctl"
	"ociproxy/test/gate"
	"ociproxy/test/image"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
	"ociproxy/test/s3"
	"ociproxy/test/shop"
)

// document is status.json, as far as the test reads it.
type document struct {
	Revision int64
	Written  time.Time
	Names    []struct {
		Name, State string
		Vantages    []struct {
			Vantage, State string
			Since          time.Time
			Available      map[string]float64
			Days           struct{ Runs, Failed []int }
		}
	}
}

// world is a registry and the bucket for its status.
type world struct {
	registry *gate.Gate
	store    *s3.Store
	bucket   string // its URL for the probe
	public   string // the URL of its objects
}

func newWorld(t *testing.T) *world {
	t.Helper()
	r, s := registry.Start(t), s3.Start(t, "eu-north-1")
	image.New(t, 1, 10<<10, 20<<10).Push(t, r.Addr, "app", "1.0")
	s.Make(t, "status")
	_, port, err := net.SplitHostPort(s.Backend())
	if err != nil {
		t.Fatal(err)
	}
	at := "http://localhost:" + port // the probe refuses the host of the registry
	return &world{
		registry: gate.New(t, r.Addr), store: s, bucket: "s3://status/public?region=eu-north-1&pathStyle=true&endpoint=" + at, public: at + "/status/public/",
	}
}

// args are those of a monitor that looks every second.
func (w *world) args(vantage string, more ...string) []string {
	return append([]string{"probe", w.registry.Addr, "--image", "app:1.0", "--endpoints", "none", "--vantage", vantage, "--status", w.bucket,
		"--every", "1s", "--max-rate", "10000", "--max-bytes-per-day", "100GiB"}, more...)
}

func (w *world) start(t *testing.T, vantage string) *parts.Process {
	t.Helper()
	return parts.Start(t, parts.Spec{Path: ctl.Binary(t), Args: w.args(vantage, "--listen", "127.0.0.1:0"), Env: shop.Environment})
}

// get reads an object as anybody can.
func (w *world) get(t *testing.T, key string) (text string, h http.Header, code int) {
	t.Helper()
	resp, err := http.Get(w.public + key)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body), resp.Header, resp.StatusCode
}

// shows waits until the document says something.
func (w *world) shows(t *testing.T, what string, good func(*document) bool) (d *document) {
	t.Helper()
	parts.Poll(t, time.Minute, what, func() error {
		text, _, code := w.get(t, "status.json")
		d = new(document)
		if err := json.Unmarshal([]byte(text), d); code != http.StatusOK || err != nil || len(d.Names) != 1 || !good(d) {
			return fmt.Errorf("%d, %w: %s", code, err, text)
		}
		return nil
	})
	return d
}

// states returns what the document says of the name and of its vantages.
func (d *document) states() string {
	all := []string{d.Names[0].State + ":"}
	for _, v := range d.Names[0].Vantages {
		all = append(all, v.Vantage+" "+v.State)
	}
	return strings.Join(all, " ")
}

func (d *document) runs(vantage string) (runs, failed int) {
	for _, v := range d.Names[0].Vantages {
		for i := range v.Days.Runs {
			if v.Vantage == vantage {
				runs, failed = runs+v.Days.Runs[i], failed+v.Days.Failed[i]
			}
		}
	}
	return runs, failed
}

// TestStatus: two probes share a page. It shows an outage and its end, and the history survives a restart. Nothing that
// only operators know is in it.
func TestStatus(t *testing.T) {
	w := newWorld(t)
	dry := ctl.Run(t, ctl.Limit, shop.Environment, w.args("oslo", "--dry-run")...)
	if _, _, code := w.get(t, "status.json"); dry.Code != 0 || code != http.StatusNotFound || !strings.Contains(dry.Stdout, w.public+"index.html") {
		t.Errorf("--dry-run: the document has %d\n%s", code, dry)
	}
	oslo, lima := w.start(t, "oslo"), w.start(t, "lima")
	is := func(want string) func(*document) bool { return func(d *document) bool { return d.states() == want } }
	w.shows(t, "two good vantages", is("up: lima up oslo up"))

	page, header, code := w.get(t, "index.html")
	if code != http.StatusOK || !strings.HasPrefix(header.Get("Content-Type"), "text/html") || header.Get("Cache-Control") != "public, max-age=30" {
		t.Errorf("index.html: %d %v", code, header)
	}
	for _, m := range regexp.MustCompile(`(?:href|src)="(status[^"]*)" integrity`).FindAllStringSubmatch(page, -1) {
		if _, h, code := w.get(t, m[1]); code != http.StatusOK || !strings.Contains(h.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", m[1], code, h)
		}
	}
	if !strings.Contains(page, "<h1>Status of "+w.registry.Addr+"</h1>") || !strings.Contains(page, "Pulls work as seen from all 2 places.") {
		t.Errorf("the page:\n%s", page)
	}

	began := time.Now()
	w.registry.Spoil(func(*http.Request) (gate.Fault, bool) {
		return gate.Fault{Status: http.StatusServiceUnavailable, After: -1}, true
	})
	d := w.shows(t, "the outage", is("down: lima down oslo down"))
	t.Logf("the outage is public after %v", time.Since(began).Round(time.Millisecond))
	if since := d.Names[0].Vantages[0].Since; since.Before(began.Add(-time.Second)) || since.After(time.Now()) {
		t.Errorf("down since %s, and the registry fails since %s", since, began)
	}
	text, _, _ := w.get(t, "status.json")
	page, _, _ = w.get(t, "index.html")
	for _, secret := range []string{"app:1.0", "sha256:", w.store.Backend(), "Unavailable"} {
		if strings.Contains(text+page, secret) {
			t.Errorf("outsiders can read %q", secret)
		}
	}
	w.registry.Spoil(nil)
	w.shows(t, "the end of the outage", is("up: lima up oslo up"))

	if said := oslo.Output.String(); !strings.Contains(said, "public status: "+w.public+"index.html") || strings.Contains(said, "outside") {
		t.Errorf("the probe did not look at its page:\n%s", said)
	}
	metrics(t, oslo, w.registry.Addr)
	oslo.Signal(t, syscall.SIGTERM)
	if code := oslo.Wait(t, time.Minute); code != 0 {
		t.Errorf("exit code %d\n%s", code, oslo.Output.Tail(20))
	}
	before := w.shows(t, "the runs so far", func(*document) bool { return true })
	ran, failed := before.runs("oslo")
	if failed == 0 || ran <= failed {
		t.Errorf("%d runs, %d failed", ran, failed)
	}
	w.start(t, "oslo")
	w.shows(t, "more runs than before the restart", func(d *document) bool {
		now, still := d.runs("oslo")
		return now > ran && still == failed
	})
	if !lima.Running() {
		t.Errorf("the other probe has ended:\n%s", lima.Output.Tail(20))
	}
}

// metrics: when the status was written is a metric, for the alert.
func metrics(t *testing.T, p *parts.Process, name string) {
	t.Helper()
	url := ""
	for _, line := range p.Output.Since(0) {
		if m := regexp.MustCompile(`health on (http://\S+)$`).FindStringSubmatch(line); m != nil {
			url = m[1]
		}
	}
	resp, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatalf("%v\n%s", err, p.Output.Tail(20))
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`ociproxy_probe_status_stale_seconds{name="` + name + `",vantage="oslo"} 300`,
		`ociproxy_probe_status_failures_total{name="` + name + `",vantage="oslo"} 0`,
		`ociproxy_probe_status_written_timestamp_seconds{name="` + name + `",vantage="oslo"} 1.`,
	} {
		if !strings.Contains(string(text), "\n"+want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

// TestNotPublic: a probe that writes a page which nobody outside can read says so.
func TestNotPublic(t *testing.T) {
	w := newWorld(t)
	if _, err := w.store.Client().CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: aws.String("private")}); err != nil {
		t.Fatal(err)
	}
	w.bucket = strings.Replace(w.bucket, "s3://status/", "s3://private/", 1)
	p := w.start(t, "oslo")
	parts.Poll(t, time.Minute, "the warning", func() error {
		if said := p.Output.String(); !strings.Contains(said, "warning: people outside get 403") {
			return fmt.Errorf("not in:\n%s", said)
		}
		return nil
	})
}

// TestRefused: a bucket, a service or a host of the registry itself is refused before anything is asked.
func TestRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	proxy.Config{
		"version": 1, "location": "aws/us-east-1", "ranges": proxy.Map{"cache": "", "feeds": proxy.List{}},
		"names":     proxy.List{proxy.Map{"hosts": proxy.List{"registry.example.org", "status.s3.dualstack.eu-north-1.amazonaws.com"}}},
		"upstreams": proxy.List{proxy.Map{"name": "main", "url": "https://us-docker.pkg.dev", "place": "gcp/us-central1", "canonical": true}},
		"stores": proxy.List{
			proxy.Map{"name": "use1", "place": "aws/us-east-1", "serves": proxy.List{"aws"}, "bucket": "s3://layers?region=us-east-1", "owner": "123456789012",
				"url": "https://layers.s3.dualstack.us-east-1.amazonaws.com/containers/images/{digest}"},
			proxy.Map{"name": "gcs", "place": "gcp/us-central1", "serves": proxy.List{"gcp"}, "url": "https://storage.googleapis.com/layers/containers/images/{digest}"},
			proxy.Map{"name": "own", "place": "aws/us-east-2", "serves": proxy.List{"aws"}, "bucket": "s3://layers?region=x&endpoint=https://objects.example.org",
				"url": "https://cdn.example.org/containers/images/{digest}"},
		},
	}.Write(t, file)
	for status, want := range map[string]string{
		"s3://layers/status?region=us-east-1":                      "a host of the store use1",
		"s3://layers/status?region=us-east-1&pathStyle=true":       "the bucket is that of the store use1",
		"s3://status?region=eu-north-1":                            "a name of this registry",
		"gs://status":                                              "a host of the store gcs",
		"s3://other?region=x&endpoint=https://Objects.Example.Org": "the service at objects.example.org has the store own",
		"ftp://status":                                             "unknown scheme",
	} {
		ran := ctl.Run(t, ctl.Limit, nil, "probe", "registry.example.org", "--config", file, "--image", "app:1.0", "--every", "60s", "--vantage", "oslo", "--status", status)
		if ran.Code != 2 || !strings.Contains(ran.Stderr, want) || !strings.Contains(ran.Stderr, "hint:") {
			t.Errorf("%s: want %q\n%s", status, want, ran)
		}
	}
}
