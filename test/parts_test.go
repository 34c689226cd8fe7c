package test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/test/clients"
	"ociproxy/test/containerd"
	"ociproxy/test/image"
	"ociproxy/test/registry"
)

// Every client can pull directly from a registry, and the access log accounts for each byte. If a test with the proxy
// fails, this test shows whether the parts are the cause.
func TestPartsWithoutProxy(t *testing.T) {
	reg := registry.Start(t)
	img := image.New(t, 1, 10<<10, 1<<20, 3<<20)
	img.Push(t, reg.Addr, "library/app", "v1")
	ref := reg.Addr + "/library/app:v1"
	want := map[string]int64{}
	for _, blob := range img.Arch["amd64"].Blobs {
		want["/v2/library/app/blobs/"+blob.Digest] = blob.Size
	}
	pulls := map[string]func(*testing.T){
		"crane":  func(t *testing.T) { clients.CranePull(t, ref, "linux/amd64") },
		"skopeo": func(t *testing.T) { clients.SkopeoPull(t, ref, "amd64") },
		"podman": func(t *testing.T) { clients.PodmanPull(t, ref, "amd64") },
		"ctr": func(t *testing.T) {
			d := containerd.Start(t, 1)
			d.Mirror(t, "registry.test", reg.Addr)
			d.Pull(t, "registry.test/library/app:v1", "linux/amd64")
		},
		"cri": func(t *testing.T) {
			d := containerd.Start(t, 1)
			d.Mirror(t, "registry.test", reg.Addr)
			d.PullCRI(t, "registry.test/library/app:v1")
		},
	}
	for name, pull := range pulls {
		t.Run(name, func(t *testing.T) {
			mark := reg.Mark()
			pull(t)
			eventually(t, "bytes in the access log", func() error {
				got := map[string]int64{}
				for _, access := range reg.Since(mark) {
					path, _, _ := cutQuery(access.Path)
					if access.Method == http.MethodGet && access.Status == 200 && isBlob(path) {
						got[path] += access.Bytes
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					return fmt.Errorf("blob bytes (-want +got):\n%s", diff)
				}
				return nil
			})
		})
	}
}
