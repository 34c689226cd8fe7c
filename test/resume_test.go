package test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"ociproxy/test/containerd"
	"ociproxy/test/parts"
	"ociproxy/test/world"
)

// A broken download is resumed through the proxy: the client follows the redirect with its Range, and the two halves
// make the blob. HEAD tells the size beforehand.
func TestResumeAfterCut(t *testing.T) {
	f := newFixture(t, 4, 10<<10, 50<<10, 100<<10, 4<<20)
	for name, i := range map[string]int{"store": 3, "upstream": 2} {
		t.Run(name, func(t *testing.T) {
			blob := f.img.Arch["amd64"].Blobs[i]
			url := "http://" + f.At(world.Virginia) + "/v2/library/app/blobs/" + blob.Digest
			head := do(t, http.MethodHead, url, nil)
			if head.StatusCode != http.StatusOK || head.ContentLength != blob.Size {
				t.Fatalf("HEAD through the redirect: %s, %d bytes, want %d", head.Status, head.ContentLength, blob.Size)
			}
			cut := blob.Size / 3
			first := make([]byte, cut)
			resp := do(t, http.MethodGet, url, nil)
			if _, err := io.ReadFull(resp.Body, first); err != nil {
				t.Fatal(err)
			}
			resp.Body.Close() // the cut

			resp = do(t, http.MethodGet, url, http.Header{"Range": {fmt.Sprintf("bytes=%d-", cut)}})
			if resp.StatusCode != http.StatusPartialContent {
				t.Fatalf("resume: %s", resp.Status)
			}
			if got, want := resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-%d/%d", cut, blob.Size-1, blob.Size); got != want {
				t.Fatalf("Content-Range %q, want %q", got, want)
			}
			rest, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if sum := fmt.Sprintf("sha256:%x", sha256.Sum256(append(first, rest...))); sum != blob.Digest {
				t.Errorf("the halves make %s, want %s", sum, blob.Digest)
			}
		})
	}
	t.Run("curl", func(t *testing.T) {
		blob := f.img.Arch["amd64"].Blobs[3]
		out := parts.Run(t, parts.Ready, parts.Find(t, "curl"), "--silent", "--show-error", "--fail", "--location", "--range", "4000000-",
			"http://"+f.At(world.Frankfurt)+"/v2/library/app/blobs/"+blob.Digest)
		if want := blob.Read(t)[4000000:]; !bytes.Equal(want, []byte(out)) {
			t.Errorf("curl got %d bytes, want the last %d of the blob", len(out), len(want))
		}
	})
}

// When its connection breaks, containerd asks for the rest of a layer through the proxy. Any source that the proxy then
// names has it.
func TestContainerdResumes(t *testing.T) {
	f := newFixture(t, 11, 10<<10, 20<<10, 30<<10, 8<<20)
	daemon := containerd.Start(t, 1)
	daemon.Mirror(t, "registry.test", f.At(world.Frankfurt))
	blob := f.img.Arch["amd64"].Blobs[3]
	f.Stores[world.StoreEU].Cut(blob.Digest, 3_333_333)
	daemon.Pull(t, "registry.test/library/app:v1", "linux/amd64")

	var ranges, sources []string
	for _, e := range f.Hop(world.Frankfurt).Take() {
		if !strings.Contains(e.Path, blob.Digest) {
			continue
		}
		source, err := f.Source(e.Location)
		if err != nil {
			t.Error(err)
		}
		ranges, sources = append(ranges, e.Range), append(sources, source)
	}
	if len(ranges) != 2 || ranges[0] != "" || !strings.HasPrefix(ranges[1], "bytes=") || !strings.HasSuffix(ranges[1], "-") {
		t.Errorf("ranges asked for: %q, want none, then one with an open end", ranges)
	}
	if len(sources) == 0 || sources[0] != world.StoreEU {
		t.Errorf("sent to %q, want %s first", sources, world.StoreEU)
	}
}

// What a store sends must suit caches and every client: the length, ranges, no encoding.
func TestStoreAnswersAreWhatTheMirrorPut(t *testing.T) {
	f := newFixture(t, 5, 10<<10, 50<<10, 100<<10)
	blob := f.img.Arch["amd64"].Blobs[0]
	resp := do(t, http.MethodGet, "http://"+f.At(world.Virginia)+"/v2/library/app/blobs/"+blob.Digest, nil)
	if got := resp.Request.URL.String(); got != f.Stores[world.StoreUS].BlobURL(blob.Digest) {
		t.Errorf("ended at %s", got)
	}
	for name, want := range map[string]string{
		"Cache-Control": "public, max-age=31536000, immutable, no-transform", "Accept-Ranges": "bytes", "Content-Encoding": "",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
