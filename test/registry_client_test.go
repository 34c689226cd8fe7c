package test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	client "ociproxy/internal/registry"

	"ociproxy/internal/oci"
	"ociproxy/test/dockerregistry"
	"ociproxy/test/image"
	"ociproxy/test/registry"
)

func openRegistry(t *testing.T, url, prefix string) *client.Registry {
	t.Helper()
	r, err := client.Open(client.Options{URL: url, Prefix: prefix, Insecure: true, Budget: client.NewBudget(10_000, 8)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func requests(r *client.Registry) int64 {
	n, _, _ := r.Budget().Stats()
	return n
}

// readBlob reads a blob from offset off to its end.
func readBlob(t *testing.T, r *client.Registry, repo string, d oci.Digest, off int64) []byte {
	t.Helper()
	body, total, err := r.OpenBlob(t.Context(), repo, d, off)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	if err != nil || total != off+int64(len(b)) {
		t.Fatalf("%d bytes from %d on, of %d: %v", len(b), off, total, err)
	}
	return b
}

// The client lists a repository of distribution page by page, follows an index down to its blobs, and reads the blobs
// completely and from the middle.
func TestRegistryWalk(t *testing.T) {
	reg := registry.Start(t)
	img := image.New(t, 31, 10<<10, 200<<10)
	img.Push(t, reg.Addr, "project/images/team/app", "v1")
	const tags = 120 // the server returns 50 per page
	ref, err := name.NewTag(reg.Addr+"/project/images/team/app:v1", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	for i := range tags - 1 {
		if err := remote.Tag(ref.Context().Tag(fmt.Sprintf("t%03d", i)), img.Index, remote.WithContext(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	r := openRegistry(t, reg.URL, "project/images")
	ctx := t.Context()

	var repos []string
	for repo, err := range r.Repositories(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		repos = append(repos, repo)
	}
	if diff := cmp.Diff([]string{"team/app"}, repos); diff != "" {
		t.Errorf("repositories (-want +got):\n%s", diff)
	}
	before := requests(r)
	list, err := r.List(ctx, "team/app")
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Tags) != tags || list.All {
		t.Errorf("%d tags, want %d", len(list.Tags), tags)
	}
	if n := requests(r) - before; n != 3 {
		t.Errorf("%d requests for a list of three pages", n)
	}
	top, err := r.Resolve(ctx, "team/app", "v1")
	if err != nil || top.Digest.String() != img.Digest {
		t.Fatalf("%+v, %v, want %s", top, err, img.Digest)
	}
	index, err := r.Manifest(ctx, "team/app", "v1")
	if err != nil {
		t.Fatal(err)
	}
	got, want := map[string][]string{}, map[string][]string{}
	for _, arch := range []string{"amd64", "arm64"} {
		for _, b := range img.Arch[arch].Blobs {
			want["linux/"+arch] = append(want["linux/"+arch], b.Digest)
		}
		slices.Sort(want["linux/"+arch])
	}
	for _, child := range index.Children() {
		m, blob, err := r.Child(ctx, "team/app", child)
		if err != nil || blob {
			t.Fatalf("%s: %v, %v", child.Digest, blob, err)
		}
		for _, b := range m.Blobs() {
			got[child.Platform] = append(got[child.Platform], b.Digest.String())
			whole := readBlob(t, r, "team/app", b.Digest, 0)
			if oci.Sum("sha256", whole) != b.Digest {
				t.Errorf("%s has other bytes", b.Digest)
			}
			if tail := readBlob(t, r, "team/app", b.Digest, 100); !bytes.Equal(tail, whole[100:]) {
				t.Errorf("%s from byte 100 on differs", b.Digest)
			}
			if end := readBlob(t, r, "team/app", b.Digest, b.Size); len(end) != 0 {
				t.Errorf("%s has %d bytes after its end", b.Digest, len(end))
			}
		}
		slices.Sort(got[child.Platform])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("blobs by platform (-want +got):\n%s", diff)
	}
	missing := oci.Sum("sha256", []byte("nothing"))
	if _, err := r.Manifest(ctx, "team/app", missing.String()); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("a manifest that is not there: %v", err)
	}
	if _, _, err := r.OpenBlob(ctx, "team/app", missing, 0); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("a blob that is not there: %v", err)
	}
	if _, err := r.List(ctx, "team/other"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("a repository that is not there: %v", err)
	}
}

// Without a referrers API (distribution), the client finds referrers by the fallback tag: after the first time with one
// request.
func TestRegistryReferrers(t *testing.T) {
	reg := registry.Start(t)
	img := image.New(t, 32, 10<<10)
	img.Push(t, reg.Addr, "app", "v1")
	subject := img.Arch["amd64"]
	manifest, err := subject.Image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	size, err := subject.Image.Size()
	if err != nil {
		t.Fatal(err)
	}
	hash, err := subject.Image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	const sbom = "application/vnd.example.sbom+json"
	artifact := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), sbom)
	referrer, ok := mutate.Subject(artifact, v1.Descriptor{MediaType: manifest.MediaType, Digest: hash, Size: size}).(v1.Image)
	if !ok {
		t.Fatal("no image")
	}
	sum, err := referrer.Digest()
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewDigest(reg.Addr+"/app@"+sum.String(), name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, referrer, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	r := openRegistry(t, reg.URL, "")
	d, err := oci.ParseDigest(subject.Digest)
	if err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		before := requests(r)
		refs, api, err := r.Referrers(t.Context(), "app", d)
		if err != nil || api {
			t.Fatalf("API %v, %v", api, err)
		}
		if len(refs) != 1 || refs[0].Digest.String() != sum.String() || refs[0].ArtifactType != sbom {
			t.Errorf("referrers: %+v", refs)
		}
		if n := requests(r) - before; round == 1 && n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	}
	m, err := r.Manifest(t.Context(), "app", sum.String())
	if err != nil || m.Subject() == nil || m.Subject().Digest != d || m.ArtifactType != sbom {
		t.Errorf("the referrer: %+v, %v", m, err)
	}
}

// A signed schema 1 manifest has the digest of its payload, whether the client asks by tag or by digest.
func TestRegistrySchema1(t *testing.T) {
	reg := dockerregistry.Start(t)
	img := image.New(t, 33, 10<<10, 20<<10)
	docker := mutate.ConfigMediaType(mutate.MediaType(img.Arch["amd64"].Image, types.DockerManifestSchema2), types.DockerConfigJSON)
	tag, err := name.NewTag(reg.Addr+"/old/app:v2", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, docker, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	digest := reg.Degrade(t, "old/app", "v2", "v1")
	r := openRegistry(t, reg.URL, "old")
	for _, ref := range []string{"v1", digest} {
		got, err := r.Resolve(t.Context(), "app", ref)
		if err != nil || got.Digest.String() != digest || got.MediaType != dockerregistry.MediaType {
			t.Errorf("resolve %s: %+v, %v", ref, got, err)
		}
		m, err := r.Manifest(t.Context(), "app", ref)
		if err != nil {
			t.Fatal(err)
		}
		if m.Digest.String() != digest || m.MediaType != dockerregistry.MediaType {
			t.Errorf("%s: %+v, want digest %s", ref, m.Descriptor, digest)
		}
		found := map[oci.Digest]bool{}
		for _, b := range m.Blobs() {
			if found[b.Digest] {
				t.Errorf("%s twice", b.Digest)
			}
			found[b.Digest] = true
			size, err := r.StatBlob(t.Context(), "app", b.Digest)
			if err != nil || b.Size != -1 {
				t.Errorf("%s: %d bytes, said to be %d: %v", b.Digest, size, b.Size, err)
			}
			if whole := readBlob(t, r, "app", b.Digest, 0); int64(len(whole)) != size || oci.Sum("sha256", whole) != b.Digest {
				t.Errorf("%s has other bytes", b.Digest)
			}
		}
		for _, b := range img.Arch["amd64"].Blobs[:2] {
			if d, err := oci.ParseDigest(b.Digest); err != nil || !found[d] {
				t.Errorf("layer %s is not found, %v", b.Digest, err)
			}
		}
	}
	// The registry does not convert schema 2 to schema 1 for us.
	if m, err := r.Manifest(t.Context(), "app", "v2"); err != nil || m.MediaType != string(types.DockerManifestSchema2) {
		t.Errorf("%v, %v", m, err)
	}
}

// The client finds credentials where Docker keeps them. Without them the registry refuses.
func TestRegistryCredentials(t *testing.T) {
	reg := dockerregistry.StartPrivate(t)
	content := []byte("{}")
	d := oci.Sum("sha256", content)
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	anonymous := openRegistry(t, reg.URL, "")
	if err := anonymous.PushBlob(t.Context(), "app", d, 2, bytes.NewReader(content)); !errors.Is(err, client.ErrUnauthorized) {
		t.Errorf("anonymous: %v", err)
	}
	config := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, reg.Addr, base64.StdEncoding.EncodeToString([]byte(dockerregistry.User+":"+dockerregistry.Password)))
	if err := os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	r := openRegistry(t, reg.URL, "")
	if err := r.PushBlob(t.Context(), "app", d, 2, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if got := readBlob(t, r, "app", d, 0); !bytes.Equal(got, content) {
		t.Errorf("read %q", got)
	}
	// A client that was refused is let in once there are credentials.
	if got := readBlob(t, anonymous, "app", d, 0); !bytes.Equal(got, content) {
		t.Errorf("read %q", got)
	}
}

// The client pushes blobs and manifests, mounts them from one repository to another, and reads them back; with sha512
// too.
func TestRegistryPush(t *testing.T) {
	for program, url := range map[string]func(*testing.T) string{
		"distribution":    func(t *testing.T) string { return registry.Start(t).URL },
		"docker-registry": func(t *testing.T) string { return dockerregistry.Start(t).URL },
	} {
		t.Run(program, func(t *testing.T) {
			r := openRegistry(t, url(t), "prod")
			ctx := t.Context()
			config, layer := []byte(`{}`), bytes.Repeat([]byte("layer "), 100_000)
			c, l := oci.Sum("sha256", config), oci.Sum("sha512", layer)
			if program == "docker-registry" {
				l = oci.Sum("sha256", layer) // it stores sha512, but does not find it again
			}
			for d, b := range map[oci.Digest][]byte{c: config, l: layer, oci.Sum("sha256", nil): nil} {
				if err := r.PushBlob(ctx, "a", d, int64(len(b)), bytes.NewReader(b)); err != nil {
					t.Fatal(err)
				}
				if size, err := r.StatBlob(ctx, "a", d); err != nil || size != int64(len(b)) {
					t.Errorf("%s: %d bytes, %v", d, size, err)
				}
			}
			if err := r.PushBlob(ctx, "a", oci.Sum("sha256", []byte("other")), 2, bytes.NewReader(config)); err == nil {
				t.Error("wrong bytes were taken")
			}
			for d, b := range map[oci.Digest][]byte{c: config, l: layer} {
				before := requests(r)
				mounted, err := r.Mount(ctx, "b", d, r.Path("a"))
				if err != nil {
					t.Fatal(err)
				}
				if !mounted { // use the upload that the mount began
					t.Logf("%s: %s is not mounted", program, d.Algorithm())
					if err := r.PushBlob(ctx, "b", d, int64(len(b)), bytes.NewReader(b)); err != nil {
						t.Fatal(err)
					}
				}
				if n := requests(r) - before; d.Algorithm() == "sha256" && n != 1 {
					t.Errorf("%d requests to mount %s", n, d)
				}
			}
			if mounted, err := r.Mount(ctx, "b", oci.Sum("sha256", []byte("absent")), r.Path("a")); err != nil || mounted {
				t.Errorf("what is not there was mounted: %v, %v", mounted, err)
			}
			raw := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.example+json","digest":%q,"size":%d},`+
				`"layers":[{"mediaType":"application/vnd.example","digest":%q,"size":%d}]}`, types.OCIManifestSchema1, c, len(config), l, len(layer))
			m, err := client.ParseManifest(raw, "")
			if err != nil {
				t.Fatal(err)
			}
			for _, ref := range []string{m.Digest.String(), "v1"} {
				if _, err := r.PutManifest(ctx, "b", ref, m, client.PutOptions{IfNoneMatch: true, ReadBack: true}); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := r.Resolve(ctx, "b", "v1"); err != nil || got.Digest != m.Digest || got.Size != m.Size {
				t.Errorf("%+v, %v", got, err)
			}
			before := requests(r)
			if _, err := r.List(ctx, "b"); err != nil || requests(r)-before != 1 {
				t.Errorf("%d requests for a list of one page, %v", requests(r)-before, err)
			}
		})
	}
}
