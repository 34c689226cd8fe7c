package mirror

import (
	"testing"

	"ociproxy/test/gate"
	"ociproxy/test/registry"
	"ociproxy/test/shop"
	"ociproxy/test/source"
)

// TestOnePass fills three S3 regions from distribution in one pass, which reads each blob once. The second pass moves
// nothing.
func TestOnePass(t *testing.T) {
	t.Parallel()
	r := registry.Start(t)
	src := source.New(r.Addr, prefix)
	src.Fill(t, source.Shape{Images: 40, Repos: 6, Seed: 1, Smallest: 10 << 10, Largest: 400 << 10, Big: []int64{20 << 20, 40 << 20}})
	w := newWorld(t, r, src, gate.New(t, r.Addr), shop.StartS3(t, "us-east-1", "eu-central-1", "ap-south-1").Shops(t), nil)
	first := w.mirror(t)
	if first.Code != 0 {
		t.Fatalf("mirror: %v", first)
	}
	read, requests := w.reads()
	for digest, n := range read {
		if n != src.Blobs[digest] {
			t.Errorf("%s was read %d bytes, it has %d", digest, n, src.Blobs[digest])
		}
	}
	t.Logf("%d blobs, %d bytes; source sent %d bytes in %d requests; %v, peak %d MiB", len(src.Blobs), src.Unique(), sum(read), requests, first.Took, first.Peak>>20)
	w.whole(t)
	w.reads()
	second := w.mirror(t)
	read, requests = w.reads()
	if second.Code != 0 || sum(read) != 0 {
		t.Errorf("second pass read %d bytes: %v", sum(read), second)
	}
	t.Logf("second pass: %v, %d requests to the source\n%s", second.Took, requests, second.Stdout)
}
