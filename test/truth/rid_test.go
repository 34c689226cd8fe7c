package truth

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"

	"ociproxy/test/azure"
	"ociproxy/test/gcs"
	"ociproxy/test/parts"
	"ociproxy/test/s3"
)

// The servers that stand for Amazon, Google and Azure in the tests must answer a request with an id as one without.
func TestSlowStoresIgnoreTheID(t *testing.T) {
	parts.Slow(t)
	data := []byte(strings.Repeat("layer", 1000))
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(data))
	aws, google, microsoft := s3.Start(t, "us-east-1"), gcs.Start(t, "us-central1"), azure.Start(t)
	aws.Put(t, digest, data)
	ask(t, http.MethodPost, google.URL+"/upload/storage/v1/b/"+gcs.Bucket+"/o?uploadType=media&name="+url.QueryEscape(prefix+digest), data, 200)
	microsoftPut(t, microsoft, map[string][]byte{digest: data})
	for name, blobs := range map[string]string{"versitygw": aws.URL, "fake-gcs-server": google.BlobURL(gcs.Bucket), "Azurite": microsoft.BlobURL(azure.Container)} {
		t.Run(name, func(t *testing.T) {
			at := strings.Replace(blobs, "{digest}", digest, 1)
			for _, tt := range []struct {
				method, ranges string
				want           []byte
			}{{"GET", "", data}, {"GET", "bytes=5-9", data[5:10]}, {"HEAD", "", nil}} {
				plain, id := answer(t, tt.method, at, tt.ranges), answer(t, tt.method, at+"?x-rid="+rand.Text(), tt.ranges)
				if plain.status != id.status || plain.length != id.length || plain.etag != id.etag || !bytes.Equal(id.body, tt.want) {
					t.Errorf("%s %s: %d, %d bytes, ETag %s; with an id %d, %d bytes, ETag %s", tt.method, tt.ranges, plain.status, plain.length,
						plain.etag, id.status, id.length, id.etag)
				}
			}
		})
	}
}

type answered struct {
	status int
	length int64
	etag   string
	body   []byte
}

func answer(t *testing.T, method, url, ranges string) answered {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if ranges != "" {
		req.Header.Set("Range", ranges)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered{resp.StatusCode, resp.ContentLength, resp.Header.Get("ETag"), body}
}

// microsoftPut stores blobs under their digests.
func microsoftPut(t *testing.T, to *azure.Store, blobs map[string][]byte) {
	t.Helper()
	key, err := azblob.NewSharedKeyCredential(azure.Account, azure.Key)
	if err != nil {
		t.Fatal(err)
	}
	account, err := azblob.NewClientWithSharedKeyCredential(to.URL, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	for digest, data := range blobs {
		if _, err := account.UploadBuffer(t.Context(), azure.Container, prefix+digest, data, nil); err != nil {
			t.Fatal(err)
		}
	}
}
