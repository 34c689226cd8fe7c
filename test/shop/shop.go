// Package shop provides object stores for tests that write to them: several on loopback, each with its entry for a
// config.
//
// It knows the layout of a store (docs/inventory.md) and how the public reads it. It must not know which program
// writes.
package shop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ociproxy/test/azure"
	"ociproxy/test/ctl"
	"ociproxy/test/gate"
	"ociproxy/test/gcs"
	"ociproxy/test/proxy"
	"ociproxy/test/s3"
	"ociproxy/test/seaweedfs"
	"ociproxy/test/source"
)

// EmptyObject is the blob with which writers test stores.
const EmptyObject = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

// Nothing is the digest of empty content.
const Nothing = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// Environment has the credentials of all stores.
var Environment = []string{"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test-secret", "AZURE_STORAGE_KEY=" + azure.Key}

// Shop is one store of a world.
type Shop struct {
	Name, Place string
	Serves      []string
	Bucket      string     // its URL in the config
	Base        string     // of its public URLs; ends in "/"
	Gate        *gate.Gate // nil: none

	Server   *s3.Store // nil: another kind of store
	S3Bucket string
}

// Key returns the key of a blob in a store.
func Key(digest string) string { return "containers/images/" + digest }

// URL returns the public URL of a blob.
func (s *Shop) URL(digest string) string { return s.Base + Key(digest) }

// Config returns the shop's entry in the config's stores.
func (s *Shop) Config() proxy.Map {
	return proxy.Map{"name": s.Name, "place": s.Place, "url": s.URL("{digest}"), "serves": s.Serves, "insecure": true,
		"inventory": proxy.Map{"url": s.Base + "inventory/", "refresh": "1s"}, "bucket": s.Bucket}
}

// Configs returns the entries of all shops.
func Configs(shops []*Shop) proxy.List {
	var out proxy.List
	for _, s := range shops {
		out = append(out, s.Config())
	}
	return out
}

// Names returns the names of the shops, sorted.
func Names(shops []*Shop) []string {
	var out []string
	for _, s := range shops {
		out = append(out, s.Name)
	}
	slices.Sort(out)
	return out
}

// Servers are the S3 servers that the worlds of one test share. Each world has its own buckets behind its own gates.
// Safe for concurrent use.
type Servers struct {
	S3 []*s3.Store
	n  atomic.Int32
}

// StartS3 starts versitygw in some regions.
func StartS3(t testing.TB, regions ...string) *Servers {
	t.Helper()
	g := &Servers{}
	for _, region := range regions {
		g.S3 = append(g.S3, s3.Start(t, region))
	}
	return g
}

// Shops makes a new bucket in each server, and a gate in front of it.
func (g *Servers) Shops(t testing.TB) []*Shop {
	t.Helper()
	name := fmt.Sprintf("bucket-%d", g.n.Add(1))
	var out []*Shop
	for _, s := range g.S3 {
		s.Make(t, name)
		front := gate.New(t, s.Backend())
		out = append(out, &Shop{Name: "s3-" + s.Region, Place: "aws/" + s.Region, Serves: []string{"aws"}, Server: s, S3Bucket: name,
			Gate: front, Base: front.URL + "/" + name + "/",
			Bucket: fmt.Sprintf("s3://%s?region=%s&pathStyle=true&endpoint=%s", name, s.Region, front.URL)})
	}
	return out
}

// SeaweedFS starts SeaweedFS.
func SeaweedFS(t testing.TB) *Shop {
	t.Helper()
	s := seaweedfs.Start(t, "eu-west-3")
	return &Shop{Name: "seaweedfs", Place: "aws/eu-west-3", Serves: []string{"aws"}, Bucket: s.BucketURL(seaweedfs.Bucket), Base: s.URL + "/" + seaweedfs.Bucket + "/"}
}

// GCS starts fake-gcs-server.
func GCS(t testing.TB) *Shop {
	t.Helper()
	s := gcs.Start(t, "europe-west1")
	return &Shop{Name: "gcs", Place: "gcp/europe-west1", Serves: []string{"gcp"}, Bucket: s.BucketURL(gcs.Bucket), Base: s.URL + "/" + gcs.Bucket + "/"}
}

// Azure starts Azurite.
func Azure(t testing.TB) *Shop {
	t.Helper()
	s := azure.Start(t)
	return &Shop{Name: "azure", Place: "azure/westeurope", Serves: []string{"azure", "internet"}, Bucket: s.BucketURL(azure.Container), Base: s.URL + "/" + azure.Container + "/"}
}

// Holds reports whether the server has a blob's object on its disk.
func (s *Shop) Holds(digest string) bool {
	_, err := os.Stat(s.Server.File(s.S3Bucket, Key(digest)))
	return err == nil
}

// Check reads a blob as the public does, and checks its size and digest.
func (s *Shop) Check(client *http.Client, digest string, size int64) error {
	resp, err := client.Get(s.URL(digest))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Encoding") != "" {
		return fmt.Errorf("GET %s: %s, encoding %q", s.URL(digest), resp.Status, resp.Header.Get("Content-Encoding"))
	}
	algorithm, _, _ := strings.Cut(digest, ":")
	h := source.Hasher(algorithm)
	n, err := io.Copy(h, resp.Body)
	if err != nil {
		return fmt.Errorf("GET %s: %w", s.URL(digest), err)
	}
	if got := fmt.Sprintf("%s:%x", algorithm, h.Sum(nil)); n != size || got != digest {
		return fmt.Errorf("GET %s: %d bytes of %s, want %d", s.URL(digest), n, got, size)
	}
	return nil
}

// Inventory returns what a store's inventory lists: sizes by digest.
func (s *Shop) Inventory(t testing.TB) map[string]int64 {
	t.Helper()
	r := ctl.Run(t, time.Minute, nil, "inventory", "export", s.Base+"inventory/")
	if r.Code != 0 {
		t.Fatalf("inventory export: %v", r)
	}
	held := map[string]int64{}
	lines := json.NewDecoder(bytes.NewBufferString(r.Stdout))
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
