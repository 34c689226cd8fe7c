package storeconform

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"ociproxy/internal/store"
	"ociproxy/internal/store/storetest"
	"ociproxy/test/azure"
	"ociproxy/test/parts"
)

func openAzure(t *testing.T, url string, opt store.Options) store.Bucket {
	t.Helper()
	opt.Getenv = azure.Getenv
	return open(t, url, opt)
}

func TestSlowAzure(t *testing.T) {
	parts.Slow(t)
	s := azure.Start(t)
	url := s.BucketURL(azure.Container)
	storetest.Conform(t, func(t *testing.T) store.Bucket {
		return noCopier{openAzure(t, url, store.Options{Owner: azure.Account})}
	})
	t.Run("Prefix", func(t *testing.T) {
		storetest.Conform(t, func(t *testing.T) store.Bucket {
			return noCopier{openAzure(t, strings.Replace(url, "/blobs", "/blobs/deep/inside", 1), store.Options{})}
		})
	})
	t.Run("no copy", func(t *testing.T) {
		b := openAzure(t, url, store.Options{})
		put, err := b.Put(t.Context(), "copied/from", store.Bytes([]byte("x")), store.BlobHeader, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err = b.(store.Copier).CopyFrom(t.Context(), "copied/to", b, put, store.BlobHeader); !errors.Is(err, store.ErrCannotCopy) {
			t.Errorf("%v, want ErrCannotCopy", err)
		}
	})
	t.Run("missing", func(t *testing.T) {
		b := openAzure(t, s.BucketURL("nowhere"), store.Options{})
		if err := b.Check(t.Context(), "inventory/probe/"); !errors.Is(err, store.ErrUnfit) {
			t.Errorf("%v, want ErrUnfit", err)
		}
	})
	t.Run("wrong key", func(t *testing.T) {
		b := open(t, url, store.Options{Getenv: func(string) string { return "c2VjcmV0" }})
		if err := b.Check(t.Context(), "inventory/probe/"); !errors.Is(err, store.ErrDenied) {
			t.Errorf("%v, want ErrDenied", err)
		}
	})
}

func TestSlowAzureFaults(t *testing.T) {
	parts.Slow(t)
	s := azure.Start(t)
	meetFaults(t, func(t *testing.T, transport http.RoundTripper) store.Bucket {
		return openAzure(t, s.BucketURL(azure.Container), store.Options{Transport: transport})
	})
}
