package oci_test

import (
	"maps"
	"slices"
	"testing"

	"ociproxy/internal/oci"
)

var paths = map[string]string{
	"blob":      "/v2/project/images/etcd/blobs/" + sha256,
	"manifest":  "/v2/project/images/etcd/manifests/" + sha256,
	"tag":       "/v2/pause/manifests/3.10",
	"tags":      "/v2/pause/tags/list",
	"base":      "/v2/",
	"refused":   "/v2/a/../b/tags/list",
	"baddigest": "/v2/a/blobs/sha256:0",
}

func TestParseAllocatesNothing(t *testing.T) {
	for kind, path := range paths {
		if n := testing.AllocsPerRun(100, func() { _, _ = oci.Parse(path, "ns=registry.example.org") }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", kind, n)
		}
	}
	r, err := oci.Parse(paths["blob"], "")
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 0, 512)
	if n := testing.AllocsPerRun(100, func() { buf = r.AppendPath(buf[:0], "project/images") }); n != 0 {
		t.Errorf("AppendPath: %v allocations, want 0", n)
	}
}

func BenchmarkParse(b *testing.B) {
	for _, kind := range slices.Sorted(maps.Keys(paths)) {
		path := paths[kind]
		b.Run(kind, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = oci.Parse(path, "")
			}
		})
	}
}

// BenchmarkParsePatterns does the same with regular expressions, to show why they are not used.
func BenchmarkParsePatterns(b *testing.B) {
	for b.Loop() {
		_ = parseOracle(paths["blob"])
	}
}
