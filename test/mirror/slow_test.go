package mirror

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ociproxy/test/containerd"
	"ociproxy/test/dockerregistry"
	"ociproxy/test/gate"
	"ociproxy/test/hop"
	"ociproxy/test/image"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
	"ociproxy/test/shop"
	"ociproxy/test/source"
)

// TestSlowOnePass fills three versitygw, SeaweedFS, fake-gcs-server and Azurite from many images in one pass. Then the
// proxy routes by their inventories, and containerd pulls.
func TestSlowOnePass(t *testing.T) {
	parts.Slow(t)
	t.Parallel()
	r := registry.Start(t)
	src := source.New(r.Addr, prefix)
	shape := source.Shape{Images: 100, Repos: 25, Seed: 2, Smallest: 10 << 10, Largest: 3 << 20, Big: []int64{64 << 20, 33 << 20, 20 << 20}}
	if parts.Exhaustive() {
		shape.Images, shape.Big = 300, append(shape.Big, 300<<20, 64<<20)
	}
	src.Fill(t, shape)
	img := image.New(t, 77, 30<<10, 200<<10, 5<<20)
	img.Push(t, r.Addr, prefix+"library/app", "v1")
	for _, arch := range img.Arch {
		for _, b := range arch.Blobs {
			src.Blobs[b.Digest] = b.Size
		}
	}
	servers := shop.StartS3(t, "us-east-1", "eu-central-1", "ap-south-1")
	shops := append(servers.Shops(t), shop.SeaweedFS(t), shop.GCS(t), shop.Azure(t))
	front := gate.New(t, r.Addr)
	w := newWorld(t, r, src, front, shops, nil)
	first := w.mirror(t)
	read, requests := w.reads()
	for digest, n := range read {
		if n != src.Blobs[digest] {
			t.Errorf("%s was read %d bytes, it has %d", digest, n, src.Blobs[digest])
		}
	}
	unique := src.Unique()
	t.Logf("%d blobs, %d bytes to %v: source sent %.4f of that in %d requests, in %v, peak %d MiB", len(src.Blobs), unique, shop.Names(shops),
		float64(sum(read))/float64(unique), requests, first.Took, first.Peak>>20)
	if first.Peak > 256<<20 {
		t.Errorf("peak of resident memory %d MiB, want at most 256", first.Peak>>20)
	}
	want := unique - src.Blobs[shop.EmptyObject] // the examination wrote it, not the source
	if first.Code != 0 || sum(read) != want {
		t.Errorf("mirror: the source sent %d bytes, want %d: %v", sum(read), want, first)
	}
	w.whole(t)
	w.reads()
	second := w.mirror(t)
	again, requests := w.reads()
	if second.Code != 0 || len(again) > 0 {
		t.Errorf("second pass read %d blobs: %v", len(again), second)
	}
	t.Logf("second pass: %v, peak %d MiB, %d requests to the source\n%s", second.Took, second.Peak>>20, requests, second.Stdout)
	w.pulls(t, img)
}

// nowhere is a digest that cannot exist.
var nowhere = strings.Repeat("0", 64)

// pulls starts the proxy over the stores and pulls an image from several places. The blobs must come from the stores,
// and the proxy may only probe and read inventories.
func (w *world) pulls(t *testing.T, img *image.Image) {
	t.Helper()
	clients := map[string]netip.Prefix{"aws/us-east-1": netip.MustParsePrefix("198.18.0.0/18"),
		"aws/eu-central-1": netip.MustParsePrefix("198.18.64.0/18"), "azure/westeurope": netip.MustParsePrefix("198.18.128.0/18")}
	overrides := proxy.List{}
	for place, net := range clients {
		overrides = append(overrides, proxy.Map{"cidr": net.String(), "place": place})
	}
	c := w.config.With(proxy.Map{"ranges": proxy.Map{"overrides": overrides}})
	for _, s := range w.shops {
		if s.Gate != nil {
			s.Gate.Take()
		}
	}
	w.front.Take()
	p := proxy.Start(t, c)
	redirected := map[string]bool{}
	daemon := containerd.Start(t, 1)
	for place, net := range clients {
		h := hop.Start(t, p.Addr, net.Addr().Next())
		host := strings.ReplaceAll(place, "/", "-") + ".registry.test"
		daemon.Mirror(t, host, h.Addr)
		ref := host + "/library/app:v1"
		daemon.Pull(t, ref, "linux/amd64")
		daemon.Remove(t, ref)
		fromStores := 0
		for _, e := range h.Take() {
			if !strings.Contains(e.Path, "/blobs/") || e.Method != http.MethodGet {
				continue
			}
			if !strings.Contains(e.Location, "/containers/images/") {
				t.Errorf("%s: %s was sent to %s", place, e.Path, e.Location)
			}
			fromStores++
			redirected[e.Location] = true
		}
		if want := len(img.Arch["amd64"].Blobs); fromStores < want {
			t.Errorf("%s: %d blobs came from stores, want %d", place, fromStores, want)
		}
	}
	for _, s := range w.shops {
		if s.Gate == nil {
			continue
		}
		for _, e := range s.Gate.Take() {
			switch inventory := strings.Contains(e.Path, "/inventory/"); {
			case !strings.HasPrefix(e.Agent, "oci-proxy") || inventory:
			case e.Method == http.MethodGet: // a probe
			case strings.HasSuffix(e.Path, nowhere): // before the inventory is read: a test for false yes
			case e.Method == http.MethodHead && redirected[s.Gate.URL+e.Path]: // a later check: at most five a second
			default:
				t.Errorf("the proxy asked %s for %s %s", s.Name, e.Method, e.Path)
			}
		}
	}
	for _, e := range w.front.Take() {
		// Probes read manifests and blobs by digest. The proxy asks for nothing else, and sends no HEAD to ask who has
		// something.
		if strings.HasPrefix(e.Agent, "oci-proxy") && (e.Method != http.MethodGet || !strings.Contains(e.Path, "sha256:") && e.Path != "/v2/") {
			t.Errorf("the proxy asked the registry for %s %s", e.Method, e.Path)
		}
	}
}

// TestSlowHuge copies one blob by a multipart upload, in much less memory than it has bytes.
func TestSlowHuge(t *testing.T) {
	parts.Slow(t)
	t.Parallel()
	r := registry.Start(t)
	src := source.New(r.Addr, prefix)
	src.Client.Timeout = 0
	size := int64(600 << 20)
	if parts.Exhaustive() {
		size = 6 << 30
	}
	huge := source.NewBlob(3, size, "sha256")
	if _, err := src.Image("library/huge", "v1", 1, false, source.NewBlob(4, 40<<10, "sha256"), huge); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, r, src, gate.New(t, r.Addr), shop.StartS3(t, "us-east-1").Shops(t), nil)
	pass := w.mirror(t)
	if pass.Code != 0 {
		t.Fatalf("mirror: %v", pass)
	}
	read, _ := w.reads()
	t.Logf("%d bytes in %v, %.0f MB/s, peak %d MiB; source sent %d", src.Unique(), pass.Took.Round(time.Second), float64(src.Unique())/1e6/pass.Took.Seconds(), pass.Peak>>20, sum(read))
	if pass.Peak > 256<<20 {
		t.Errorf("peak of resident memory %d MiB, want at most 256", pass.Peak>>20)
	}
	if read[huge.Digest] != size {
		t.Errorf("read %d bytes, it has %d", read[huge.Digest], size)
	}
	w.whole(t)
}

// TestSchema1 mirrors the blobs of an image that docker-registry 2.8 serves as schema 1.
func TestSchema1(t *testing.T) {
	t.Parallel()
	r := dockerregistry.Start(t)
	src := source.New(r.Addr, prefix)
	layers := []source.Blob{source.NewBlob(1, 30<<10, "sha256"), source.NewBlob(2, 70<<10, "sha256")}
	if _, err := src.Image("library/old", "v2", 1, true, layers...); err != nil {
		t.Fatal(err)
	}
	r.Degrade(t, prefix+"library/old", "v2", "v1")
	w := newWorld(t, nil, src, gate.New(t, r.Addr), shop.StartS3(t, "us-east-1").Shops(t), nil)
	if pass := w.mirror(t); pass.Code != 0 {
		t.Fatalf("mirror: %v", pass)
	}
	w.whole(t)
}
