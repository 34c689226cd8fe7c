package mirror

import (
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"ociproxy/test/ctl"
	"ociproxy/test/gate"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
	"ociproxy/test/shop"
	"ociproxy/test/source"
)

// prefix is the prefix of repository names at the source.
const prefix = "project/images/"

// world is a source, some stores and a config.
type world struct {
	registry *registry.Registry
	front    *gate.Gate // in front of the registry
	source   *source.Source
	shops    []*shop.Shop
	config   proxy.Config
	file     string
	spool    string
	env      []string // for the mirror, in addition to the credentials
}

// newWorld makes a world from a registry (which worlds may share) and shops. more adds keys to the mirror stanza.
func newWorld(t testing.TB, r *registry.Registry, src *source.Source, front *gate.Gate, shops []*shop.Shop, more proxy.Map) *world {
	t.Helper()
	w := &world{registry: r, front: front, source: src, shops: shops, file: filepath.Join(t.TempDir(), "config.yaml"), spool: t.TempDir()}
	stanza := proxy.Map{"source": "us", "repositories": proxy.Map{"include": proxy.List{"/.*/"}}, "spool": proxy.Map{"dir": w.spool},
		"requestsPerSecond": 5000}
	maps.Copy(stanza, more)
	w.config = proxy.Config{
		"location":  "gcp/us-central1",
		"client":    proxy.Map{"behind": proxy.Map{"header": "X-Forwarded-For", "entry": 1, "trusted": proxy.List{"127.0.0.0/8"}}},
		"upstreams": proxy.List{proxy.Map{"name": "us", "url": front.URL, "prefix": strings.TrimSuffix(prefix, "/"), "place": "gcp/us-central1", "canonical": true, "insecure": true}},
		"stores":    shop.Configs(shops),
		"mirror":    stanza,
		"log":       proxy.Map{"requests": 1, "client": "full"},
	}
	w.config = w.config.Defaults(t)
	w.config.Write(t, w.file)
	return w
}

// mirror runs one pass.
func (w *world) mirror(t testing.TB, args ...string) ctl.Ran {
	t.Helper()
	return ctl.Run(t, 20*time.Minute, w.environment(), append([]string{"mirror", "--config", w.file, "--once", "--output", "json"}, args...)...)
}

// environment returns the credentials of all stores, and what the test adds.
func (w *world) environment() []string { return slices.Concat(shop.Environment, w.env) }

// startMirror starts one pass.
func (w *world) startMirror(t testing.TB, args ...string) *ctl.Running {
	t.Helper()
	return ctl.Start(t, shop.Environment, append([]string{"mirror", "--config", w.file, "--once", "--output", "json"}, args...)...)
}

// report is the part of an audit's JSON document that the tests read.
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

func (w *world) audit(t testing.TB, args ...string) (report, ctl.Ran) {
	t.Helper()
	r := ctl.Run(t, 20*time.Minute, shop.Environment, append([]string{"audit", "--config", w.file, "--output", "json"}, args...)...)
	if r.Stdout == "" {
		t.Fatalf("audit %v: %v", args, r)
	}
	out := ctl.Decode[report](t, r.Stdout)
	if out.ExitCode != r.Code {
		t.Errorf("audit says exit code %d and ends with %d", out.ExitCode, r.Code)
	}
	return out, r
}

// whole fails the test unless every blob of the source is in every store and in its inventory. It checks with an audit
// that reads everything, and with what the public can read.
func (w *world) whole(t testing.TB) {
	t.Helper()
	found, ended := w.audit(t, "--deep")
	if ended.Code != 0 {
		t.Errorf("audit --deep: %v", ended)
	}
	blobs := w.source.Blobs
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
			g.Go(func() error { return s.Check(client, digest, size) })
		}
		if err := g.Wait(); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
		held := s.Inventory(t)
		for digest, size := range blobs {
			if held[digest] != size {
				t.Errorf("%s: the inventory says %d bytes of %s, want %d", s.Name, held[digest], digest, size)
			}
		}
		for digest := range held {
			if _, ok := blobs[digest]; !ok && digest != shop.EmptyObject {
				t.Errorf("%s: the inventory has %s, which nobody pushed", s.Name, digest)
			}
		}
	}
}

// reads returns the bytes of blobs that the source sent since the last call, by digest, and the number of requests. It
// takes both from the gate in front of the source.
func (w *world) reads() (bytes map[string]int64, requests int) {
	bytes = map[string]int64{}
	for _, e := range w.front.Take() {
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
