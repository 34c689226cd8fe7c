package mirror

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"ociproxy/test/ctl"
	"ociproxy/test/gate"
	"ociproxy/test/shop"
)

// TestReplicas: S3's replication has put blobs into a second store. The mirror finds them there and records them. It
// writes none of them again, and asks the source for none.
func TestReplicas(t *testing.T) {
	t.Parallel()
	s := newScene(t, small)
	shops := s.servers.Shops(t)
	first := newWorld(t, s.registry, s.source, gate.New(t, s.registry.Addr), shops[:1], nil)
	if r := first.mirror(t); r.Code != 0 {
		t.Fatalf("mirror: %v", r)
	}
	shops[1].Replicate(t, shops[0])
	w := newWorld(t, s.registry, s.source, gate.New(t, s.registry.Addr), shops, nil)
	shops[1].Gate.Take()
	r := w.mirror(t)
	if r.Code != 0 {
		t.Fatalf("mirror: %v", r)
	}
	for _, e := range shops[1].Gate.Take() {
		if path, _ := url.PathUnescape(e.Path); strings.Contains(path, shop.EmptyObject) {
			continue // the mirror tests a store with it
		}
		if e.Method != http.MethodGet && e.Method != http.MethodHead && strings.Contains(e.Path, shop.Key("")) {
			t.Errorf("the mirror sent %s %s", e.Method, e.Path)
		}
	}
	if read, _ := w.reads(); sum(read) != 0 {
		t.Errorf("the mirror read %d bytes of blobs from the source", sum(read))
	}
	stores := ctl.Decode[struct {
		Stores []struct{ BlobsUploaded, BlobsCopied, BlobsPresent int }
	}](t, r.Stdout).Stores
	if got := stores[1]; got.BlobsUploaded != 0 || got.BlobsCopied != 0 || got.BlobsPresent != len(s.source.Blobs) {
		t.Errorf("of %d blobs in the second store: %+v", len(s.source.Blobs), got)
	}
	w.whole(t)
}
