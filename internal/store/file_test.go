package store_test

import (
	"testing"

	"go.uber.org/goleak"

	"ociproxy/internal/store"
	"ociproxy/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFile(t *testing.T) {
	storetest.Conform(t, func(t *testing.T) store.Bucket {
		b, err := store.Open(t.Context(), "file://"+t.TempDir(), store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
}
