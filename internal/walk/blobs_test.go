package walk

import (
	"errors"
	"io"
	"net/http"
	"testing"

	"ociproxy/internal/registry"
	"ociproxy/internal/registry/registrytest"
	"ociproxy/internal/transfer"
)

// The engine reads from where it is told, and is told what is wrong in its own terms.
func TestBlobs(t *testing.T) {
	r := registrytest.New(t, registrytest.Options{})
	d := of(t, r.Blob("there/app", "0123456789"))
	reg := open(t, r).Registry
	nowhere := errors.New("nowhere")
	at := Blobs(func(repository string) (*registry.Registry, string, error) {
		if repository == "nowhere" {
			return nil, "", nowhere
		}
		return reg, "there/" + repository, nil
	})
	body, err := at.Open(t.Context(), transfer.Blob{Digest: d, Size: 10, Repository: "app"}, 7)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if text, err := io.ReadAll(body); string(text) != "789" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := at.Open(t.Context(), transfer.Blob{Digest: d, Size: 9, Repository: "app"}, 0); !errors.Is(err, transfer.ErrCorrupt) {
		t.Errorf("another size: %v", err)
	}
	if _, err := at.Open(t.Context(), transfer.Blob{Digest: d, Size: 10, Repository: "lib"}, 0); !errors.Is(err, transfer.ErrGone) || !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("not there: %v", err)
	}
	if _, err := at.Open(t.Context(), transfer.Blob{Digest: d, Size: 10, Repository: "nowhere"}, 0); !errors.Is(err, nowhere) {
		t.Errorf("no registry: %v", err)
	}
	r.Fail(func(rw http.ResponseWriter, _ *http.Request) bool { rw.WriteHeader(http.StatusForbidden); return true })
	if _, err := at.Open(t.Context(), transfer.Blob{Digest: d, Size: 10, Repository: "app"}, 0); !errors.Is(err, registry.ErrUnauthorized) || errors.Is(err, transfer.ErrGone) {
		t.Errorf("refused: %v", err)
	}
	if _, err := open(t, r).Open(t.Context(), transfer.Blob{Digest: d, Size: 10, Repository: "there/app"}, 0); !errors.Is(err, registry.ErrUnauthorized) {
		t.Errorf("a source: %v", err)
	}
}
