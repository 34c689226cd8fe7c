package against

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"ociproxy/internal/probe"
	"ociproxy/internal/probe/against"
	"ociproxy/test/registry"
)

func image(t *testing.T) v1.Image {
	t.Helper()
	im, err := random.Image(2000, 2)
	if err != nil {
		t.Fatal(err)
	}
	return mutate.MediaType(im, types.OCIManifestSchema1)
}

// index makes an index of images for platforms of linux.
func index(t *testing.T, architectures ...string) v1.ImageIndex {
	t.Helper()
	out := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, a := range architectures {
		out = mutate.AppendManifests(out, mutate.IndexAddendum{
			Add: image(t), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: a}},
		})
	}
	return out
}

func reference(t *testing.T, text string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(text, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// push writes an image or index to host/repository:tag of each host.
func push(t *testing.T, what any, repository string, hosts ...string) {
	t.Helper()
	for _, host := range hosts {
		ref := reference(t, host+"/"+repository)
		var err error
		switch what := what.(type) {
		case v1.Image:
			err = remote.Write(ref, what, remote.WithContext(t.Context()))
		case v1.ImageIndex:
			err = remote.WriteIndex(ref, what, remote.WithContext(t.Context()))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// tags adds tags for the same image, which is fast.
func tags(t *testing.T, im v1.Image, host, repository string, names ...string) {
	t.Helper()
	for _, n := range names {
		tag, err := name.NewTag(host+"/"+repository+":"+n, name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Tag(tag, im, remote.WithContext(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
}

func digest(t *testing.T, of interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	d, err := of.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

func compare(t *testing.T, opt against.Options) *against.Report {
	t.Helper()
	if opt.Limits.Rate == 0 {
		opt.Limits = probe.Limits{Rate: 10_000, Requests: 100_000, Time: 5 * time.Minute}
	}
	r, err := against.Run(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// seeded are two registries with the same content, and the image and index in it.
type seeded struct {
	here, there *registry.Registry
	image       v1.Image
	index       v1.ImageIndex
}

// pages is more than two pages of the registries.
const pages = 110

// seed starts both, with more tags for the image of app.
func seed(t *testing.T, more int) *seeded {
	t.Helper()
	s := &seeded{registry.Start(t), registry.Start(t), image(t), index(t, "amd64", "arm64")}
	push(t, s.image, "app:v000", s.here.Addr, s.there.Addr)
	push(t, s.index, "app:multi", s.here.Addr, s.there.Addr)
	push(t, image(t), "team/lib:v1", s.here.Addr, s.there.Addr)
	var names []string
	for i := range more {
		names = append(names, fmt.Sprintf("v%03d", i+1))
	}
	tags(t, s.image, s.here.Addr, "app", names...)
	tags(t, s.image, s.there.Addr, "app", names...)
	return s
}

func found(r *against.Report) (out []string) {
	for _, d := range r.Differences {
		out = append(out, fmt.Sprintf("%s %s:%.19s", d.Kind, d.Repository, d.Reference))
	}
	slices.Sort(out)
	return out
}

func TestEqual(t *testing.T) {
	s := seed(t, pages)
	r := compare(t, against.Options{Here: s.here.Addr, There: s.there.Addr})
	if r.Found() != 0 || r.Failed != 0 || r.Cut {
		t.Fatalf("%+v", r)
	}
	// Tags: multi, v000 to v110 and v1. Manifests: of app, the index with its two images, and of lib.
	if r.Repositories != 2 || r.Tags != 1+1+pages+1 || r.Compared != r.Tags || r.Manifests != 5 || r.Blobs != 3*5-3 {
		t.Errorf("%d repositories, %d tags, %d compared, %d manifests, %d blobs", r.Repositories, r.Tags, r.Compared, r.Manifests, r.Blobs)
	}
	few := compare(t, against.Options{Here: s.here.Addr, There: s.there.Addr, Repositories: []string{"app"}, SampleTags: 5})
	if few.Compared != 5 || few.Tags != 2+pages || few.Cost.Requests >= r.Cost.Requests {
		t.Errorf("a sample: %+v", few)
	}
}

// Each kind of difference is made, and found, and nothing else.
func TestDifferences(t *testing.T) {
	s := seed(t, 2)
	a, b := s.here, s.there
	push(t, image(t), "only/here:v1", a.Addr)
	push(t, image(t), "only/there:v1", b.Addr)
	tags(t, s.image, a.Addr, "app", "z-here")
	tags(t, s.image, b.Addr, "app", "a-there")
	push(t, image(t), "app:moved", a.Addr)
	push(t, image(t), "app:moved", b.Addr)
	push(t, index(t, "amd64"), "app:other", a.Addr)
	push(t, index(t, "amd64", "s390x"), "app:other", b.Addr)
	lost, kept := image(t), index(t, "amd64")
	push(t, lost, "app:lost", a.Addr, b.Addr)
	layers, err := lost.Layers()
	if err != nil {
		t.Fatal(err)
	}
	b.Lose(t, "app", digest(t, layers[0]))
	push(t, kept, "app:half", a.Addr, b.Addr)
	child, err := kept.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	a.LoseManifest(t, child.Manifests[0].Digest.String())
	gone := image(t)
	push(t, gone, "app:gone", a.Addr, b.Addr)
	b.LoseManifest(t, digest(t, gone))

	r := compare(t, against.Options{Here: a.Addr, There: b.Addr})
	want := []string{
		"answer app:gone", "blob app:" + digest(t, layers[0])[:19], "content app:" + child.Manifests[0].Digest.String()[:19],
		"digest app:moved", "digest app:other", "platforms app:other", "repository-only-here only/here:",
		"repository-only-there only/there:", "tag-only-here app:z-here", "tag-only-there app:a-there",
	}
	if diff := cmp.Diff(want, found(r)); diff != "" || r.Failed != 0 || r.Cut {
		t.Errorf("(-want +got)\n%s\n%+v", diff, r.Failures)
	}
	for _, d := range r.Differences {
		if d.Kind == against.Platforms && (d.Here != "linux/amd64" || d.There != "linux/amd64 linux/s390x") {
			t.Errorf("%+v", d)
		}
	}
	covered(t, r, against.Header, against.Referrers, against.Error)
}

// covered requires that a report has all kinds except for some.
func covered(t *testing.T, r *against.Report, not ...against.Kind) {
	t.Helper()
	for _, k := range against.Kinds() {
		if (r.Counts[k] == 0) != slices.Contains(not, k) {
			t.Errorf("%s: %d", k, r.Counts[k])
		}
	}
}

// Two different servers differ in what registries leave open: headers, the list of referrers and errors.
func TestOtherServers(t *testing.T) {
	a := registry.Start(t)
	srv := httptest.NewServer(ggcr.New(ggcr.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)), ggcr.WithReferrersSupport(true)))
	t.Cleanup(srv.Close)
	host := strings.TrimPrefix(srv.URL, "http://")
	im := image(t)
	push(t, im, "app:v1", a.Addr, host)
	raw, err := im.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	// This server gives a manifest the type that it was pushed with.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, srv.URL+"/v2/app/manifests/v1", bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	r := compare(t, against.Options{Here: a.Addr, There: host, Repositories: []string{"app"}})
	for _, k := range []against.Kind{against.Header, against.Referrers, against.Error} {
		if r.Counts[k] == 0 {
			t.Errorf("no difference of kind %s: %q", k, found(r))
		}
	}
	if r.Failed != 0 || r.Counts[against.Digest]+r.Counts[against.Blob]+r.Counts[against.Content] != 0 {
		t.Errorf("%+v", r)
	}
}

// The bounds end a comparison, which says so.
func TestBounds(t *testing.T) {
	s := seed(t, 30)
	r := compare(t, against.Options{Here: s.here.Addr, There: s.there.Addr, Limits: probe.Limits{Requests: 60, Rate: 10_000}})
	if !r.Cut || r.Cost.Requests > 60 || r.Found() != 0 || r.Failed != 0 {
		t.Errorf("%+v", r)
	}
	s.there.Stop(t)
	r = compare(t, against.Options{Here: s.here.Addr, There: s.there.Addr, Repositories: []string{"app"}})
	if r.Failed == 0 || r.Found() != 0 {
		t.Errorf("a registry that is down: %+v", r)
	}
}
