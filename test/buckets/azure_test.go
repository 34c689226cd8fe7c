package buckets

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"github.com/google/go-cmp/cmp"

	"ociproxy/test/azure"
	"ociproxy/test/gate"
	"ociproxy/test/gcs"
	"ociproxy/test/parts"
	"ociproxy/test/shop"
)

// onAzurite is what store create makes of a new container of Azurite.
const onAzurite = `bucket changed
publicAccess changed
restore byHand
onlyTLS byHand
versioning byHand
blobsAreNeverReplaced byHand`

// TestSlowAzurite shares one server among its tests.
func TestSlowAzurite(t *testing.T) {
	parts.Slow(t)
	t.Parallel()
	s := azure.Start(t)
	env := []string{"AZURE_STORAGE_KEY=" + azure.Key}
	stanza := func(name, endpoint string) string {
		return config(t, entry("az", "azure/westeurope", "azblob://"+azure.Account+"/"+name+"?endpoint="+endpoint+"/"+azure.Account,
			endpoint+"/"+azure.Account+"/"+name+"/"))
	}
	key, err := container.NewSharedKeyCredential(azure.Account, azure.Key)
	if err != nil {
		t.Fatal(err)
	}
	open := func(t *testing.T, name string) *container.Client {
		c, err := container.NewClientWithSharedKeyCredential(s.URL+"/"+name, key, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	t.Run("create", func(t *testing.T) {
		file := stanza("made", "http://"+s.Addr)
		create(t, 4, env, file, "az", "--dry-run")
		doc := create(t, 0, env, file, "az", "--confirm")
		if diff := cmp.Diff(onAzurite, doc.states()); diff != "" {
			t.Error(diff)
		}
		shut(t, http.DefaultClient, s.URL+"/made/", listAzure)
		// An operator adds a stored access policy, and lets everybody list.
		level := container.PublicAccessTypeContainer
		_, err := open(t, "made").SetAccessPolicy(t.Context(), &container.SetAccessPolicyOptions{Access: &level, ContainerACL: []*container.SignedIdentifier{{
			ID: new("reports"), AccessPolicy: &container.AccessPolicy{Expiry: new(time.Now().Add(time.Hour)), Permission: new("r")}}}})
		if err != nil {
			t.Fatal(err)
		}
		if got := stranger(t, http.DefaultClient, http.MethodGet, s.URL+"/made/"+listAzure); got != http.StatusOK {
			t.Errorf("a list at level container: %d", got)
		}
		doc = create(t, 0, env, file, "az", "--confirm")
		if f := doc.find("publicAccess"); doc.Changes != 1 || !slices.Equal(f.Kept, []string{"stored access policy reports"}) {
			t.Errorf("%+v", doc)
		}
		shut(t, http.DefaultClient, s.URL+"/made/", listAzure)
		again(t, env, file, "az")
	})
	t.Run("killed", func(t *testing.T) {
		g := gate.New(t, s.Addr)
		for k := 1; ; k++ {
			file := stanza("killed-"+string(rune('a'+k)), g.URL)
			was := kill(t, g, env, file, "az", k, func(r *http.Request) bool {
				return r.Method == http.MethodPut && r.URL.Query().Get("restype") == "container"
			})
			if doc := create(t, 0, env, file, "az", "--confirm"); doc.find("publicAccess").Have != "level blob" {
				t.Errorf("killed at change %d: %+v", k, doc)
			}
			if !was {
				break
			}
		}
	})
	// A signature without the permission d writes new blobs, and removes none.
	t.Run("writer without delete", func(t *testing.T) {
		const name = "signed"
		s.Make(t, name)
		query, err := sas.BlobSignatureValues{Protocol: sas.ProtocolHTTPSandHTTP, ExpiryTime: time.Now().Add(time.Hour), ContainerName: name,
			Permissions: (&sas.ContainerPermissions{Read: true, Create: true, Write: true, List: true}).String()}.SignWithSharedKey(key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := container.NewClientWithNoCredential(s.URL+"/"+name+"?"+query.Encode(), nil)
		if err != nil {
			t.Fatal(err)
		}
		blob := c.NewBlockBlobClient(shop.Key(shop.EmptyObject))
		if _, err := blob.UploadBuffer(t.Context(), []byte("{}"), &blockblob.UploadBufferOptions{}); err != nil {
			t.Errorf("write: %v", err)
		}
		if _, err := blob.Delete(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("delete: %v, want 403", err)
		}
		if _, err := blob.GetProperties(t.Context(), nil); err != nil {
			t.Errorf("after the delete that was refused: %v", err)
		}
	})
}

// onGCS is what store create makes of a new bucket of fake-gcs-server, which keeps none of its settings.
const onGCS = `bucket changed
uniformAccess unsupported
publicAccessPrevention good
policy/read unsupported
policy/strangers unsupported
restore unsupported
lifecycle/unfinishedUploads unsupported
onlyTLS byHand
blobsAreNeverReplaced byHand`

// fake-gcs-server enforces nothing: everybody may list and write. Store create makes the bucket, says what it does not
// have, and finds out that strangers can list.
func TestSlowGCS(t *testing.T) {
	parts.Slow(t)
	t.Parallel()
	s := gcs.Start(t, "europe-west1")
	file := config(t, entry("gcs-eu", "gcp/europe-west1", s.BucketURL("made"), s.URL+"/made/"))
	create(t, 4, nil, file, "gcs-eu", "--dry-run")
	for _, exists := range []bool{false, true} {
		doc := create(t, 5, nil, file, "gcs-eu", "--confirm")
		want := onGCS
		if exists {
			want = strings.Replace(onGCS, "bucket changed", "bucket good", 1)
		}
		if diff := cmp.Diff(want, doc.states()); diff != "" {
			t.Error(diff)
		}
		if doc.Exists != exists || doc.Proof == nil || doc.Proof.Preflight != "" || !strings.Contains(doc.Proof.List, "may list") {
			t.Errorf("%+v", doc)
		}
	}
}
