package registry

import (
	"bytes"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/registry/registrytest"
)

func open(t *testing.T, url string, change ...func(*Options)) *Registry {
	t.Helper()
	opt := Options{URL: url, Prefix: "prod/images", Insecure: true, Budget: NewBudget(10_000, 8)}
	for _, c := range change {
		c(&opt)
	}
	r, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// Pushed content is listed, resolved and read again.
func TestRoundTrip(t *testing.T) {
	r := open(t, registrytest.New(t, registrytest.Options{}).URL)
	ctx := t.Context()
	blob := bytes.Repeat([]byte("0123456789"), 1000)
	d := sum("sha256", blob)
	if err := r.PushBlob(ctx, "team/app", d, int64(len(blob)), bytes.NewReader(blob)); err != nil {
		t.Fatal(err)
	}
	raw := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/x","digest":"` +
		d.String() + `","size":10000},"layers":[]}`)
	m, err := ParseManifest(raw, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.PutManifest(ctx, "team/app", "v1", m, PutOptions{IfNoneMatch: true, ReadBack: true}); err != nil {
		t.Fatal(err)
	}
	var repos []string
	for name, err := range r.Repositories(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		repos = append(repos, name)
	}
	if diff := cmp.Diff([]string{"team/app"}, repos); diff != "" {
		t.Errorf("repositories (-want +got):\n%s", diff)
	}
	list, err := r.List(ctx, "team/app")
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Tags) != 1 || list.Tags[0].Name != "v1" || list.All {
		t.Errorf("list: %+v", list)
	}
	got, err := r.Resolve(ctx, "team/app", "v1")
	if err != nil || got.Digest != m.Digest || got.Size != int64(len(raw)) {
		t.Errorf("resolve: %+v, %v", got, err)
	}
	back, err := r.Manifest(ctx, "team/app", m.Digest.String())
	if err != nil || !bytes.Equal(back.Raw, raw) {
		t.Errorf("manifest: %v", err)
	}
	if size, err := r.StatBlob(ctx, "team/app", d); err != nil || size != 10000 {
		t.Errorf("stat: %d, %v", size, err)
	}
	body, total, err := r.OpenBlob(ctx, "team/app", d, 9990)
	if err != nil || total != 10000 {
		t.Fatalf("open: %d, %v", total, err)
	}
	defer body.Close()
	if tail, err := io.ReadAll(body); err != nil || string(tail) != "0123456789" {
		t.Errorf("tail: %q, %v", tail, err)
	}
	if refs, _, err := r.Referrers(ctx, "team/app", m.Digest); err != nil || len(refs) != 0 {
		t.Errorf("referrers: %v, %v", refs, err)
	}
}
