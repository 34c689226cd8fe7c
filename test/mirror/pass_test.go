package mirror

import (
	"testing"

	"ociproxy/test/registry"
)

// TestOnePass fills three regions of S3 from distribution in one pass, reading each blob once; the second pass moves nothing.
func TestOnePass(t *testing.T) {
	r := registry.Start(t)
	src := newSource(r.Addr, prefix)
	src.fill(t, shape{images: 40, repos: 6, seed: 1, smallest: 10 << 10, largest: 400 << 10, big: []int64{20 << 20, 40 << 20}})
	w := newWorld(t, r, src, newGate(t, r.Addr), startS3(t, "us-east-1", "eu-central-1", "ap-south-1").shops(t), nil)
	first := w.mirror(t)
	if first.code != 0 {
		t.Fatalf("mirror: %v", first)
	}
	read, requests := w.reads()
	for digest, n := range read {
		if n != src.blobs[digest] {
			t.Errorf("%s was read %d bytes, it has %d", digest, n, src.blobs[digest])
		}
	}
	t.Logf("%d blobs, %d bytes; source sent %d bytes in %d requests; %v, peak %d MiB", len(src.blobs), src.unique(), sum(read), requests, first.took, first.peak>>20)
	w.whole(t)
	w.reads()
	second := w.mirror(t)
	read, requests = w.reads()
	if second.code != 0 || sum(read) != 0 {
		t.Errorf("second pass read %d bytes: %v", sum(read), second)
	}
	t.Logf("second pass: %v, %d requests to the source\n%s", second.took, requests, second.stdout)
}
