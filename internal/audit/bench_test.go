package audit

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"testing"

	"ociproxy/internal/inventory"
	"ociproxy/internal/oci"
	"ociproxy/internal/walk"
)

// BenchmarkInventories compares what 100 000 images need with the inventories of 10 stores. Each image has 10 blobs,
// and each blob is in two images.
func BenchmarkInventories(b *testing.B) {
	const images, stores = 100_000, 10
	all := make([]oci.Digest, images*5)
	for i := range all {
		d, err := oci.ParseDigest(fmt.Sprintf("sha256:%064x", i))
		if err != nil {
			b.Fatal(err)
		}
		all[i] = d
	}
	source := func(yield func(walk.Image, error) bool) {
		for i := range images {
			img := walk.Image{Repository: fmt.Sprintf("library/app%d", i%500), Digest: all[i]}
			for k := range 10 {
				img.Blobs = append(img.Blobs, walk.Blob{Digest: all[(i*5+k)%len(all)], Size: 1000})
			}
			if !yield(img, nil) {
				return
			}
		}
	}
	held := func(context.Context) iter.Seq2[inventory.Record, error] {
		return func(yield func(inventory.Record, error) bool) {
			for _, d := range all {
				if !yield(inventory.Record{Digest: d, Size: 1000, Kind: inventory.Blob}, nil) {
					return
				}
			}
		}
	}
	var list []Store
	for i := range stores {
		list = append(list, Store{Name: fmt.Sprint(i), Records: held})
	}
	for b.Loop() {
		a, err := Run(b.Context(), source, list, Options{})
		if err != nil || a.Report.ExitCode != 0 || a.Report.Stores[0].Whole != images {
			b.Fatalf("%v, %+v", err, a.Report)
		}
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/float64(len(all)), "B/blob")
		runtime.KeepAlive(a)
	}
}
