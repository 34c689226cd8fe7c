package test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/test/clients"
	"ociproxy/test/containerd"
	"ociproxy/test/image"
	"ociproxy/test/parts"
	"ociproxy/test/world"
)

// The slow tests need parts that take minutes to build. `make test-slow` runs them.

// containerd 2 fetches big layers in parallel pieces. The proxy redirects each of them separately, all to the same
// source, and the image is complete.
func TestSlowContainerd2(t *testing.T) {
	parts.Slow(t)
	f := newFixture(t, 7, 10<<10, 1<<10, 5<<20, 24<<20)
	daemon := containerd.Start(t, 2)
	for _, place := range world.Places() {
		daemon.Mirror(t, place+".registry.test", f.At(place))
	}
	pulls := map[string]func(t *testing.T, name string){
		"ctr": func(t *testing.T, name string) {
			daemon.Pull(t, name, "linux/amd64")
			daemon.Remove(t, name)
		},
		"cri": func(t *testing.T, name string) { daemon.RemoveCRI(t, daemon.PullCRI(t, name)) },
	}
	for program, pull := range pulls {
		for _, place := range world.Places() {
			t.Run(program+"/"+place, func(t *testing.T) {
				f.NewClient(place)
				marks := f.Mark()
				pull(t, place+".registry.test/library/app:v1")
				f.checkPieces(t, place, marks)
			})
		}
	}
}

// checkPieces compares a pull in pieces with the expectation: every piece of a blob comes from the one right source,
// the big layer comes in more than one piece, and no byte is missing. A client may drop a part of a piece, so the
// sources may have sent more bytes than the blob has.
func (f *fixture) checkPieces(t *testing.T, place string, marks world.Marks) {
	t.Helper()
	pieces := map[string]int{}
	exchanges := f.Hop(place).Take()
	decided := map[string]string{}
	for _, e := range exchanges {
		path, _, _ := strings.Cut(e.Path, "?")
		_, digest, ok := strings.Cut(path, "/blobs/")
		if !ok || e.Method != http.MethodGet || !f.wanted(digest) {
			continue
		}
		source, err := f.Source(e.Location)
		if err != nil {
			t.Fatal(err)
		}
		if before := decided[digest]; before != "" && before != source {
			t.Errorf("%s was sent to %s, then to %s", digest, before, source)
		}
		decided[digest] = source
		if e.Range != "" {
			pieces[digest]++
		}
	}
	want := map[string]string{}
	for i, blob := range f.img.Arch["amd64"].Blobs {
		want[blob.Digest] = f.source(place, i)
		if i == 3 && pieces[blob.Digest] < 2 {
			t.Errorf("%d ranges of the big layer, want several", pieces[blob.Digest])
		}
	}
	if diff := cmp.Diff(want, decided); diff != "" {
		t.Errorf("where the proxy sent clients of %s (-want +got):\n%s", place, diff)
	}
	eventually(t, "bytes in the access logs", func() error {
		sent := f.Sent(marks)
		for i, blob := range f.img.Arch["amd64"].Blobs {
			source := f.source(place, i)
			if got := sent[source][blob.Digest]; got < blob.Size {
				return fmt.Errorf("%s sent %d bytes of %s, want %d", source, got, blob.Digest, blob.Size)
			}
			delete(sent[source], blob.Digest)
		}
		for source, blobs := range sent {
			for digest, n := range blobs {
				if f.wanted(digest) {
					return fmt.Errorf("%s sent %d bytes of %s", source, n, digest)
				}
			}
		}
		return nil
	})
}

// wanted reports whether a blob belongs to the amd64 image. containerd's transfer service also reads the config of the
// other image.
func (f *fixture) wanted(digest string) bool {
	return slices.ContainsFunc(f.img.Arch["amd64"].Blobs, func(b image.Blob) bool { return b.Digest == digest })
}

// A signature made at the source is found and verified through the proxy from every place, even where the near upstream
// does not have it.
func TestSlowCosign(t *testing.T) {
	parts.Slow(t)
	f := newFixture(t, 8, 10<<10, 20<<10, 30<<10)
	dir := t.TempDir()
	clients.Cosign(t, dir, "generate-key-pair")
	insecure := []string{"--allow-http-registry", "--allow-insecure-registry"}
	sign := append([]string{"sign", "--key", "cosign.key", "--use-signing-config=false", "--tlog-upload=false", "-y"}, insecure...)
	clients.Cosign(t, dir, append(sign, f.Canonical.Addr+"/"+world.Prefix+"/library/app@"+f.img.Digest)...)
	for _, place := range world.Places() {
		t.Run(place, func(t *testing.T) {
			verify := append([]string{"verify", "--key", "cosign.pub", "--insecure-ignore-tlog=true"}, insecure...)
			out := clients.Cosign(t, dir, append(verify, f.At(place)+"/library/app@"+f.img.Digest)...)
			if !strings.Contains(out, f.img.Digest) {
				t.Errorf("cosign verify printed %s", out)
			}
		})
	}
}
