package storeconform

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"ociproxy/internal/store"
	"ociproxy/internal/store/storetest"
	"ociproxy/test/gcs"
	"ociproxy/test/parts"
)

const gcsRegion = "europe-west1"

func openGCS(t *testing.T, url string, opt store.Options) store.Bucket {
	t.Helper()
	opt.Getenv = func(string) string { return "" }
	return open(t, url, opt)
}

// open opens a bucket. Its connections end with the test.
func open(t *testing.T, url string, opt store.Options) store.Bucket {
	t.Helper()
	if opt.Transport == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.DisableCompression = true
		t.Cleanup(transport.CloseIdleConnections)
		opt.Transport = transport
	}
	b, err := store.Open(t.Context(), url, opt)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// noCopier is a bucket without its own copy, because the emulators do not copy correctly: fake-gcs-server overwrites an
// existing object, Azurite does not copy from a URL. The package's own tests cover copies.
type noCopier struct{ store.Bucket }

func TestSlowGCS(t *testing.T) {
	parts.Slow(t)
	s := gcs.Start(t, gcsRegion)
	url := s.BucketURL(gcs.Bucket)
	storetest.Conform(t, func(t *testing.T) store.Bucket { return noCopier{openGCS(t, url, store.Options{Region: gcsRegion})} })
	t.Run("Prefix", func(t *testing.T) {
		storetest.Conform(t, func(t *testing.T) store.Bucket {
			return noCopier{openGCS(t, strings.Replace(url, "blobs", "blobs/deep/inside", 1), store.Options{})}
		})
	})
	t.Run("missing", func(t *testing.T) {
		b := openGCS(t, s.BucketURL("nowhere"), store.Options{})
		if err := b.Check(t.Context(), "inventory/probe/"); !errors.Is(err, store.ErrUnfit) || !strings.Contains(err.Error(), "no such bucket") {
			t.Errorf("%v, want ErrUnfit", err)
		}
	})
	t.Run("elsewhere", func(t *testing.T) {
		b := openGCS(t, url, store.Options{Region: "us-east1"})
		if err := b.Check(t.Context(), "inventory/probe/"); !errors.Is(err, store.ErrUnfit) || !strings.Contains(err.Error(), "lies in "+gcsRegion) {
			t.Errorf("%v, want ErrUnfit", err)
		}
	})
	t.Run("copy to another bucket", func(t *testing.T) {
		s.Make(t, "second")
		copyAcross(t, openGCS(t, url, store.Options{}), openGCS(t, s.BucketURL("second"), store.Options{}))
	})
}

// copyAcross copies an object of several parts from one bucket to another, under another name.
func copyAcross(t *testing.T, from, to store.Bucket) {
	data := make([]byte, 20<<20)
	put, err := from.Put(t.Context(), "copied/from", store.Bytes(data), store.Header{ContentType: "text/plain"}, "")
	if err != nil {
		t.Fatal(err)
	}
	copier := to.(store.Copier)
	if !copier.CopiesFrom(from) {
		t.Fatal("cannot copy")
	}
	if _, err = copier.CopyFrom(t.Context(), "copied/to", from, put, store.BlobHeader); err != nil {
		t.Fatal(err)
	}
	a, err := to.Head(t.Context(), "copied/to")
	if err != nil {
		t.Fatal(err)
	}
	if a.Size != put.Size || a.Header != store.BlobHeader || a.CRC32C != nil && *a.CRC32C != *put.CRC32C {
		t.Errorf("the copy is %+v", a)
	}
}

func TestSlowGCSFaults(t *testing.T) {
	parts.Slow(t)
	s := gcs.Start(t, gcsRegion)
	meetFaults(t, func(t *testing.T, transport http.RoundTripper) store.Bucket {
		return openGCS(t, s.BucketURL(gcs.Bucket), store.Options{Transport: transport})
	})
}
