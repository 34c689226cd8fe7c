package mirror

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"ociproxy/test/azure"
	"ociproxy/test/gcs"
	"ociproxy/test/minio"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
	"ociproxy/test/s3"
)

// prefix is what the source puts before the repositories' names.
const prefix = "project/images/"

// emptyObject is the blob that a mirror probes stores with.
const emptyObject = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

// shop is one store of a world.
type shop struct {
	name, place string
	serves      []string
	bucket      string // as the configuration names it
	base        string // of its public URLs; ends in "/"
	gate        *gate  // nil: none
	server      *s3.Store
	s3bucket    string
}

func (s *shop) url(digest string) string {
	return s.base + "containers/images/" + digest
}

// Servers are shared by the worlds of one test; each world has buckets of its own.
type servers struct {
	s3    []*s3.Store
	gates []*gate
	n     int
}

// startS3 starts versitygw, each behind a gate.
func startS3(t testing.TB, regions ...string) *servers {
	t.Helper()
	g := &servers{}
	for _, region := range regions {
		s := s3.Start(t, region)
		g.s3 = append(g.s3, s)
		g.gates = append(g.gates, newGate(t, s.Backend()))
	}
	return g
}

// shops makes a new bucket in each server.
func (g *servers) shops(t testing.TB) []*shop {
	t.Helper()
	g.n++
	name := fmt.Sprintf("bucket-%d", g.n)
	var out []*shop
	for i, s := range g.s3 {
		s.Make(t, name)
		out = append(out, &shop{name: "s3-" + s.Region, place: "aws/" + s.Region, serves: []string{"aws"}, server: s, s3bucket: name,
			gate: g.gates[i], base: g.gates[i].URL + "/" + name + "/",
			bucket: fmt.Sprintf("s3://%s?region=%s&pathStyle=true&endpoint=%s", name, s.Region, g.gates[i].URL)})
	}
	return out
}

func minioShop(t testing.TB) *shop {
	t.Helper()
	s := minio.Start(t, "eu-west-3")
	return &shop{name: "minio", place: "aws/eu-west-3", serves: []string{"aws"}, bucket: s.BucketURL(minio.Bucket), base: s.URL + "/" + minio.Bucket + "/"}
}

func gcsShop(t testing.TB) *shop {
	t.Helper()
	s := gcs.Start(t, "europe-west1")
	return &shop{name: "gcs", place: "gcp/europe-west1", serves: []string{"gcp"}, bucket: s.BucketURL(gcs.Bucket), base: s.URL + "/" + gcs.Bucket + "/"}
}

func azureShop(t testing.TB) *shop {
	t.Helper()
	s := azure.Start(t)
	return &shop{name: "azure", place: "azure/westeurope", serves: []string{"azure", "internet"}, bucket: s.BucketURL(azure.Container), base: s.URL + "/" + azure.Container + "/"}
}

// environment has the credentials of all stores.
var environment = []string{"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test-secret", "AZURE_STORAGE_KEY=" + azure.Key}

// world is a source, some stores and a configuration.
type world struct {
	registry *registry.Registry
	front    *gate // of the registry
	source   *source
	shops    []*shop
	config   proxy.Config
	file     string
	spool    string
}

// newWorld makes a world of a registry that may be shared, and shops. More keys of the mirror stanza may be set.
func newWorld(t testing.TB, r *registry.Registry, src *source, front *gate, shops []*shop, more proxy.Map) *world {
	t.Helper()
	w := &world{registry: r, front: front, source: src, shops: shops, file: filepath.Join(t.TempDir(), "config.yaml"), spool: t.TempDir()}
	stanza := proxy.Map{"source": "us", "repositories": proxy.Map{"include": proxy.List{"/.*/"}}, "spool": proxy.Map{"dir": w.spool},
		"requestsPerSecond": 5000}
	maps.Copy(stanza, more)
	var stores proxy.List
	for _, s := range shops {
		stores = append(stores, proxy.Map{"name": s.name, "place": s.place, "url": s.url("{digest}"), "serves": s.serves, "insecure": true,
			"inventory": proxy.Map{"url": s.base + "inventory/", "refresh": "1s"}, "bucket": s.bucket})
	}
	w.config = proxy.Config{
		"location":  "gcp/us-central1",
		"client":    proxy.Map{"behind": proxy.Map{"header": "X-Forwarded-For", "entry": 1, "trusted": proxy.List{"127.0.0.0/8"}}},
		"upstreams": proxy.List{proxy.Map{"name": "us", "url": front.URL, "prefix": strings.TrimSuffix(prefix, "/"), "place": "gcp/us-central1", "canonical": true, "insecure": true}},
		"stores":    stores,
		"mirror":    stanza,
		"log":       proxy.Map{"requests": 1, "client": "full"},
	}
	w.config = w.config.Defaults(t)
	w.config.Write(t, w.file)
	return w
}

// mirror makes one pass.
func (w *world) mirror(t testing.TB, args ...string) ran {
	t.Helper()
	return ctl(t, 20*time.Minute, environment, append([]string{"mirror", "--config", w.file, "--once", "--output", "json"}, args...)...)
}

// startMirror begins one pass.
func (w *world) startMirror(t testing.TB, args ...string) *running {
	t.Helper()
	return start(t, environment, append([]string{"mirror", "--config", w.file, "--once", "--output", "json"}, args...)...)
}

// report is what the tests read of an audit's JSON document.
type report struct {
	Source struct {
		Repositories, Images, Failed int
		Blobs, Bytes                 int64
	}
	Stores []struct {
		Store         string
		Whole, Broken int
		Held, Read    struct{ Blobs, Bytes int64 }
		Found         map[string]struct{ Blobs int64 }
		Error         string
	}
	Findings []struct {
		Class, Store, Digest, Key, Detail string
		Repaired                          bool
	}
	Repair *struct {
		Planned, Repaired, Written struct{ Blobs, Bytes int64 }
		Failed                     int64
		Errors                     []string
	}
	ExitCode int
}

func (w *world) audit(t testing.TB, args ...string) (report, ran) {
	t.Helper()
	r := ctl(t, 20*time.Minute, environment, append([]string{"audit", "--config", w.file, "--output", "json"}, args...)...)
	if r.stdout == "" {
		t.Fatalf("audit %v: %v", args, r)
	}
	out := decode[report](t, r.stdout)
	if out.ExitCode != r.code {
		t.Errorf("audit says exit code %d and ends with %d", out.ExitCode, r.code)
	}
	return out, r
}

// whole fails unless every blob of the source is in every store and in its inventory, by an audit that reads all, and
// by what the public gets.
func (w *world) whole(t testing.TB) {
	t.Helper()
	found, ended := w.audit(t, "--deep")
	if ended.code != 0 {
		t.Errorf("audit --deep: %v", ended)
	}
	w.source.mu.Lock()
	blobs := maps.Clone(w.source.blobs)
	w.source.mu.Unlock()
	if found.Source.Blobs != int64(len(blobs)) {
		t.Errorf("audit --deep knows %d blobs, pushed were %d", found.Source.Blobs, len(blobs))
	}
	w.oracle(t, blobs)
}

// oracle reads every blob from every store as the public does, and compares the inventories with what was pushed.
func (w *world) oracle(t testing.TB, blobs map[string]int64) {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Minute}
	defer client.CloseIdleConnections()
	for _, s := range w.shops {
		var g errgroup.Group
		g.SetLimit(4)
		for digest, size := range blobs {
			g.Go(func() error { return s.check(client, digest, size) })
		}
		if err := g.Wait(); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
		held := s.inventory(t)
		for digest, size := range blobs {
			if held[digest] != size {
				t.Errorf("%s: the inventory says %d bytes of %s, want %d", s.name, held[digest], digest, size)
			}
		}
		for digest := range held {
			if _, ok := blobs[digest]; !ok && digest != emptyObject {
				t.Errorf("%s: the inventory has %s, which nobody pushed", s.name, digest)
			}
		}
	}
}

func (s *shop) check(client *http.Client, digest string, size int64) error {
	resp, err := client.Get(s.url(digest))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Encoding") != "" {
		return fmt.Errorf("GET %s: %s, encoding %q", s.url(digest), resp.Status, resp.Header.Get("Content-Encoding"))
	}
	algorithm, _, _ := strings.Cut(digest, ":")
	h := hasher(algorithm)
	n, err := io.Copy(h, resp.Body)
	if err != nil {
		return fmt.Errorf("GET %s: %w", s.url(digest), err)
	}
	if got := fmt.Sprintf("%s:%x", algorithm, h.Sum(nil)); n != size || got != digest {
		return fmt.Errorf("GET %s: %d bytes of %s, want %d", s.url(digest), n, got, size)
	}
	return nil
}

// inventory is what a store publishes.
func (s *shop) inventory(t testing.TB) map[string]int64 {
	t.Helper()
	r := ctl(t, time.Minute, nil, "inventory", "export", s.base+"inventory/")
	if r.code != 0 {
		t.Fatalf("inventory export: %v", r)
	}
	held := map[string]int64{}
	lines := json.NewDecoder(bytes.NewBufferString(r.stdout))
	for lines.More() {
		var line struct {
			Digest string
			Size   int64
		}
		if err := lines.Decode(&line); err != nil {
			t.Fatal(err)
		}
		held[line.Digest] = line.Size
	}
	return held
}

// reads are the bytes of blobs that the source sent, by digest, since the last call: what the gate before it let pass.
func (w *world) reads() (bytes map[string]int64, requests int) {
	bytes = map[string]int64{}
	for _, e := range w.front.take() {
		requests++
		if _, digest, ok := strings.Cut(e.Path, "/blobs/"); ok && e.Method == http.MethodGet && e.Status < 300 {
			bytes[digest] += e.Sent
		}
	}
	return bytes, requests
}

func sum(m map[string]int64) (n int64) {
	for _, v := range m {
		n += v
	}
	return n
}

func names(shops []*shop) []string {
	var out []string
	for _, s := range shops {
		out = append(out, s.name)
	}
	slices.Sort(out)
	return out
}
