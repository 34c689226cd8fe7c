package test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/test/clients"
	"ociproxy/test/containerd"
	"ociproxy/test/image"
	"ociproxy/test/world"
)

// expectation says who serves what: the sources of the test image's blobs for one place. rest is for the blobs that all
// stores and both upstreams have.
type expectation struct{ rest, notInUS, inNoStore string }

// expected follows the formula of docs/decisions/0001-routing-is-one-formula.md (latency + weight × price). Ireland
// goes to the other AWS region. If Virginia's own store does not have a blob, Virginia goes to the upstream on the same
// continent, because the sea costs more than the border between clouds. A blob in no store comes from the upstream that
// has it. GCP stays in GCP.
var expected = map[string]expectation{
	world.Virginia:   {world.StoreUS, world.Canonical, world.Canonical},
	world.VirginiaV6: {world.StoreUS, world.Canonical, world.Canonical},
	world.Frankfurt:  {world.StoreEU, world.StoreEU, world.Canonical},
	world.Ireland:    {world.StoreEU, world.StoreEU, world.Canonical},
	world.Amsterdam:  {world.StoreAz, world.StoreAz, world.Canonical},
	world.Belgium:    {world.Replica, world.Replica, world.Canonical},
	world.Home:       {world.StoreEU, world.StoreEU, world.Canonical},
}

// fixture is a world with one image: layers 0, 1, 2, …. Layer 1 is not in the US store. Layer 2 is in no store, and the
// replica has lost it.
type fixture struct {
	*world.World
	img *image.Image
}

func newFixture(t *testing.T, seed byte, sizes ...int64) *fixture {
	t.Helper()
	f := &fixture{World: world.Start(t, nil), img: image.New(t, seed, sizes...)}
	f.Push(t, f.img, "library/app", "v1", world.Canonical, world.Replica)
	blobs := f.img.Arch["amd64"].Blobs
	for i, blob := range blobs {
		switch i {
		case 1:
			f.Fill(t, []image.Blob{blob}, world.StoreEU, world.StoreAz)
		case 2:
			f.Replica.Lose(t, world.Prefix+"/library/app", blob.Digest)
		default:
			f.Fill(t, []image.Blob{blob}, world.StoreUS, world.StoreEU, world.StoreAz)
		}
	}
	return f
}

// source returns which source must send the i-th blob to clients of the place.
func (f *fixture) source(place string, i int) string {
	switch want := expected[place]; i {
	case 1:
		return want.notInUS
	case 2:
		return want.inNoStore
	default:
		return want.rest
	}
}

// pull pulls once, and compares the proxy's decisions and the sources' access logs with the expectation.
func (f *fixture) pull(t *testing.T, place string, pull func(*testing.T, string)) {
	t.Helper()
	f.NewClient(place)
	marks, log := f.Mark(), f.Proxy.Output.Mark()
	pull(t, place)

	decisions, want := map[string]string{}, world.Books{}
	for i, blob := range f.img.Arch["amd64"].Blobs {
		decisions[blob.Digest] = f.source(place, i)
		want.Add(f.source(place, i), blob.Digest, blob.Size)
	}
	got, err := f.Decided(place)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(decisions, got); diff != "" {
		t.Errorf("where the proxy sent clients of %s (-want +got):\n%s", place, diff)
	}
	if diff := cmp.Diff(decisions, f.Logged(log)); diff != "" {
		t.Errorf("what the request log says of clients of %s (-want +got):\n%s", place, diff)
	}
	eventually(t, "bytes in the access logs", func() error {
		if diff := cmp.Diff(want, f.Sent(marks)); diff != "" {
			return fmt.Errorf("who sent what (-want +got):\n%s", diff)
		}
		return nil
	})
}

// programs returns the ways to pull library/app:v1 as a client of a place.
func (f *fixture) programs(t *testing.T) map[string]func(*testing.T, string) {
	t.Helper()
	ref := func(place string) string { return f.At(place) + "/library/app:v1" }
	daemon := containerd.Start(t, 1)
	// Use image names of another registry, as in a cluster. hosts.toml says where that registry is.
	for _, place := range world.Places() {
		daemon.Mirror(t, place+".registry.test", f.At(place))
	}
	return map[string]func(*testing.T, string){
		"crane":  func(t *testing.T, place string) { clients.CranePull(t, ref(place), "linux/amd64") },
		"skopeo": func(t *testing.T, place string) { clients.SkopeoPull(t, ref(place), "amd64") },
		"podman": func(t *testing.T, place string) { clients.PodmanPull(t, ref(place), "amd64") },
		"ctr": func(t *testing.T, place string) {
			name := place + ".registry.test/library/app:v1"
			daemon.Pull(t, name, "linux/amd64")
			daemon.Remove(t, name)
		},
		"cri": func(t *testing.T, place string) {
			id := daemon.PullCRI(t, place+".registry.test/library/app:v1")
			daemon.RemoveCRI(t, id)
		},
	}
}

// Every client program in every place gets each blob from the source that the proxy names, and that source is the right
// one.
func TestPullFromEverywhere(t *testing.T) {
	f := newFixture(t, 2, 10<<10, 50<<10, 100<<10, 200<<10)
	for name, pull := range f.programs(t) {
		for _, place := range world.Places() {
			t.Run(name+"/"+place, func(t *testing.T) { f.pull(t, place, pull) })
		}
	}
}

// The same test with layers up to 100 MiB, each program from one place.
func TestPullLarge(t *testing.T) {
	f := newFixture(t, 3, 10<<10, 1<<20, 8<<20, 100<<20)
	programs := f.programs(t)
	for name, place := range map[string]string{
		"ctr": world.Virginia, "cri": world.Ireland, "skopeo": world.Belgium, "podman": world.Amsterdam, "crane": world.Home,
	} {
		t.Run(name+"/"+place, func(t *testing.T) { f.pull(t, place, programs[name]) })
	}
}
