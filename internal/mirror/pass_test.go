package mirror

import (
	"context"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ociproxy/internal/registry/registrytest"
	"ociproxy/internal/shard"
)

func (w *world) wantSame(n int) {
	w.t.Helper()
	first := w.held(0)
	if len(first) != n {
		w.t.Errorf("store 0 holds %d blobs, want %d", len(first), n)
	}
	for i := range w.stores[1:] {
		if diff := cmp.Diff(first, w.held(i+1)); diff != "" {
			w.t.Errorf("store %d (-store 0 +it)\n%s", i+1, diff)
		}
	}
}

// count counts the requests with a method, "" being any, and a part of the path.
func count(log []string, method, part string) (n int) {
	for _, l := range log {
		if strings.HasPrefix(l, method) && strings.Contains(l, part) {
			n++
		}
	}
	return n
}

func TestPass(t *testing.T) {
	w := newWorld(t, 3)
	a, b := w.Image("team/app", "a", "base", "one"), w.Image("team/app", "b", "base", "two")
	w.Index("team/app", "both", a, b)
	w.Image("lib/other", "v1", "base", "three")
	w.Asked()

	r := w.pass(Options{})
	if r.Result != Done || len(r.Problems) > 0 {
		t.Fatalf("%+v", r)
	}
	w.wantSame(4 + 3) // layers, configs
	log := w.Asked()
	// Each manifest and each blob is read once, and nothing is asked twice: two lists of repositories and tags, and the greeting.
	if got := count(log, "GET", "/manifests/"); got < 4 || got > 6 {
		t.Errorf("%d manifests read, want 4, or up to 2 more for those met by tag at the same time:\n%s", got, strings.Join(log, "\n"))
	}
	if got := count(log, "GET", "/blobs/"); got != 7 {
		t.Errorf("%d blobs read, want 7:\n%s", got, strings.Join(log, "\n"))
	}
	if got := count(log, "HEAD", ""); got > 0 {
		t.Errorf("%d HEAD requests in a pass over empty stores:\n%s", got, strings.Join(log, "\n"))
	}
	if want := (BlobsReport{Copied: 21}); r.Blobs != want {
		t.Errorf("blobs %+v, want %+v", r.Blobs, want)
	}
	if want := (ImagesReport{Seen: 4, Complete: 4}); r.Images != want {
		t.Errorf("images %+v, want %+v", r.Images, want)
	}

	t.Run("again", func(t *testing.T) {
		r := w.pass(Options{})
		if r.Result != Done || r.Blobs != (BlobsReport{}) || r.Images.Known != 4 || r.Source.BytesRead != 0 {
			t.Errorf("%+v", r)
		}
		log := w.Asked()
		// One of them may be asked for its referrers: then it turns out that there is no API for that, and the fallback tag is tried.
		if got := count(log, "", "/manifests/") - count(log, "", "/manifests/sha256-"); got != 4 {
			t.Errorf("%d requests for manifests, want one a tag:\n%s", got, strings.Join(log, "\n"))
		}
		if int64(len(log)) != r.Source.Requests {
			t.Errorf("%d requests counted, %d seen", r.Source.Requests, len(log))
		}
	})
	t.Run("full", func(t *testing.T) {
		if r := w.pass(Options{Full: true}); r.Result != Done || r.Blobs != (BlobsReport{}) || r.Images.Known != 0 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("from other machine", func(t *testing.T) { // another spool: the config makes one each time
		if err := os.RemoveAll(filepath.Join(w.stores[1], "inventory")); err != nil {
			t.Fatal(err)
		}
		r := w.pass(Options{})
		if want := (BlobsReport{Present: 7}); r.Result != Done || r.Blobs != want {
			t.Errorf("a lost inventory: %+v", r)
		}
	})
}

func TestKinds(t *testing.T) {
	w := newWorld(t, 1, registrytest.Options{Referrers: true})
	img := w.Image("app", "v1", "layer")
	// An artifact with a subject, found by the referrers API only, and one that is about it in turn.
	artifact := ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/x.sig", Config: ocispec.DescriptorEmptyJSON,
		Layers: []ocispec.Descriptor{w.Blob("app", "signature")}, Subject: &img,
	}
	artifact.SchemaVersion = 2
	w.Blob("app", "{}")
	sig := w.Put("app", "", artifact)
	artifact.Layers, artifact.Subject = []ocispec.Descriptor{w.Blob("app", "countersignature")}, &sig
	w.Put("app", "", artifact)
	// A subject that is not there.
	gone := img
	gone.Digest = "sha256:" + ocispec.DescriptorEmptyJSON.Digest[7:]
	artifact.Layers, artifact.Subject = []ocispec.Descriptor{w.Blob("app", "orphan")}, &gone
	w.Put("app", "sha256-"+strings.Repeat("0", 64)+".sig", artifact)
	// Something nobody has heard of, with a sha512 layer, one that is elsewhere, and an index that lists a blob.
	odd := w.BlobAs("app", "five-one-two", fmt.Sprintf("sha512:%x", sha512.Sum512([]byte("five-one-two"))))
	foreign := registrytest.Describe("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "sha256:"+strings.Repeat("ab", 32), 10)
	foreign.URLs = []string{"https://elsewhere.example/layer"}
	strange := ocispec.Manifest{MediaType: "application/vnd.strange+json", Config: w.Blob("app", "strange config"), Layers: []ocispec.Descriptor{odd, foreign}}
	strange.SchemaVersion = 2
	cache := w.Blob("app", "cache")
	cache.MediaType = "application/vnd.unheard-of"
	w.Index("app", "index", w.Put("app", "", strange), cache)

	r := w.pass(Options{})
	if r.Result != Done || len(r.Problems) > 0 {
		t.Fatalf("%+v", r)
	}
	// layer and its config; signature, countersignature, orphan; five-one-two, strange config; cache. The probe is {}.
	w.wantSame(8)
	if _, ok := w.held(0)[string(odd.Digest)]; !ok {
		t.Error("the sha512 blob is not there")
	}
	if len(r.Skipped) != 1 || r.Skipped[0].Digest != string(foreign.Digest) || !strings.Contains(r.Skipped[0].Why, "elsewhere.example") {
		t.Errorf("skipped: %+v", r.Skipped)
	}
	if r := w.pass(Options{}); r.Images.Seen != r.Images.Known || r.Blobs.Copied != 0 {
		t.Errorf("second pass: %+v", r)
	}
}

func TestBadImage(t *testing.T) {
	w := newWorld(t, 2)
	good := w.Image("app", "good", "shared", "good")
	bad := w.Image("app", "bad", "shared", "bad")
	lost := w.Image("app", "lost", "lost")
	w.Index("app", "all", good, bad)
	w.Fail(func(rw http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.Contains(r.URL.Path, "/blobs/") && r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, sumOf("bad")):
			_, _ = rw.Write([]byte("BAD")) // right size, wrong bytes
			return true
		case strings.HasSuffix(r.URL.Path, string(lost.Digest)), strings.HasSuffix(r.URL.Path, "/manifests/lost"):
			rw.WriteHeader(http.StatusNotFound)
			return true
		}
		return false
	})
	r := w.pass(Options{})
	if r.Result != Partial || r.Errors[SourceCorrupt] == 0 || r.Errors[SourceGone] != 0 || r.Vanished != 1 {
		t.Fatalf("%+v", r)
	}
	if r.Images.Complete != 1 || r.Stores[0].Incomplete < 2 {
		t.Errorf("images %+v, store %+v: only the good one is complete, not the bad one nor the index", r.Images, r.Stores[0])
	}
	w.wantSame(4) // shared, good, and both configs
	w.Fail(nil)
	if r := w.pass(Options{}); r.Result != Done || r.Blobs.Copied != 2*3 {
		t.Errorf("after the repair: %+v", r)
	}
}

// sumOf is the digest of a text.
func sumOf(text string) string { return registrytest.Sum([]byte(text)) }

func TestStoreDown(t *testing.T) {
	w := newWorld(t, 2)
	w.Image("app", "v1", "one", "two")
	// The public URL of the second store shows nothing.
	w.urls[1] = w.URL
	r := w.pass(Options{})
	if r.Result != Partial || r.Errors[StoreUnfit] != 1 || r.Stores[0].Error != "" || !strings.Contains(r.Stores[1].Error, "404") {
		t.Fatalf("%+v", r)
	}
	if got := len(w.held(0)); got != 3 {
		t.Errorf("the good store holds %d blobs, want 3", got)
	}
	if got := len(w.held(1)); got != 0 {
		t.Errorf("the bad store holds %d blobs", got)
	}
	if r.Stores[1].Incomplete != 1 || r.Stores[0].Incomplete != 0 {
		t.Errorf("stores %+v", r.Stores)
	}
	if r := w.pass(Options{}); r.Result != Partial || r.Blobs.Copied != 0 { // the other one has all
		t.Errorf("again: %+v", r)
	}
}

func TestSourceDown(t *testing.T) {
	w := newWorld(t, 1)
	w.Close()
	if r := w.pass(Options{}); r.Result != Failed || r.Errors[SourceFailed] == 0 {
		t.Errorf("%+v", r)
	}
}

func TestDenied(t *testing.T) {
	w := newWorld(t, 1)
	w.Image("app", "v1", "fine", "forbidden")
	w.deny = `"` + sumOf("forbidden") + `"`
	for range 2 { // never complete, and no fault
		r := w.pass(Options{})
		if r.Result != Done || r.Images.Denied != 1 || r.Images.Complete != 0 || r.Blobs.Skipped != 1 {
			t.Fatalf("%+v", r)
		}
	}
	if _, ok := w.held(0)[sumOf("forbidden")]; ok || len(w.held(0)) != 2 {
		t.Errorf("held: %v", w.held(0))
	}
}

// An index has what its images have: with a denied layer below it, it is not waited for either.
func TestDeniedBelow(t *testing.T) {
	w := newWorld(t, 1)
	w.Index("app", "all", w.Image("app", "a", "fine"), w.Image("app", "b", "forbidden"))
	w.deny = `"` + sumOf("forbidden") + `"`
	for range 2 {
		r := w.pass(Options{})
		if r.Result != Done || r.Images.Denied != 2 || r.Images.Complete != 1 || r.Stores[0].Incomplete != 0 {
			t.Fatalf("%+v", r)
		}
	}
}

// Patterns that select nothing are a mistake, not a mirror that is complete.
func TestNothingSelected(t *testing.T) {
	w := newWorld(t, 1)
	w.Image("app", "v1", "one")
	cfg := w.config()
	cfg.Mirror.Repositories.Include = []string{"ap"}
	if r := w.passOf(t.Context(), cfg, Options{}); r.Result != Failed || !strings.Contains(r.Error, "no repository") || len(r.Problems) != 1 {
		t.Errorf("no match: %+v", r)
	}
	cfg = w.config()
	cfg.Mirror.Repositories.Exclude = []string{"app"}
	if r := w.passOf(t.Context(), cfg, Options{}); r.Result != Failed || r.Errors[SourceGone] != 1 {
		t.Errorf("all excluded: %+v", r)
	}
}

// A registry that ends its lists silently may have more than it lists.
func TestTruncatedListing(t *testing.T) {
	w := newWorld(t, 1)
	a := w.Image("app", "a", "one")
	w.Fail(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/tags/list") {
			return false
		}
		tags := make([]string, 10_000)
		for i := range tags {
			tags[i] = fmt.Sprint("v", i)
		}
		_ = json.NewEncoder(rw).Encode(map[string]any{"manifest": map[string]any{string(a.Digest): map[string]any{"tag": tags}}, "tags": tags})
		return true
	})
	r := w.pass(Options{})
	if r.Result != Partial || len(r.Problems) != 1 || r.Problems[0].Repository != "app" || r.Images.Complete != 1 {
		t.Errorf("%+v", r)
	}
}

// Within a day each image has its turn to be asked for what refers to it, once.
func TestRipe(t *testing.T) {
	for _, interval := range []time.Duration{time.Minute, 15 * time.Minute, time.Hour, 24 * time.Hour} {
		p := filler{opt: Options{Interval: interval}}
		begin := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
		for i := range 200 {
			d, turns := digest(t, sumOf(fmt.Sprint(i))), 0
			for p.now = begin; p.now.Before(begin.Add(24 * time.Hour)); p.now = p.now.Add(interval) {
				if p.Ripe(d) {
					turns++
				}
			}
			if turns != 1 {
				t.Fatalf("every %s: %s had %d turns in a day", interval, d, turns)
			}
		}
	}
}

// All shards together do what one does, and a later pass finds every image complete.
func TestShards(t *testing.T) {
	w := newWorld(t, 2)
	for i := range 20 {
		w.Image("app", fmt.Sprint("v", i), "base", fmt.Sprint("layer", i))
	}
	whole := newWorld(t, 1)
	for i := range 20 {
		whole.Image("app", fmt.Sprint("v", i), "base", fmt.Sprint("layer", i))
	}
	whole.pass(Options{})
	var copied int64
	cfg := w.config()
	for i := range 3 {
		r := w.passOf(t.Context(), cfg, Options{Shard: shard.Shard{Index: i, Of: 3}})
		if r.Result != Done || r.Blobs.Copied == 0 || r.Shard != fmt.Sprintf("%d/3", i) {
			t.Errorf("shard %d: %+v", i, r)
		}
		copied += r.Blobs.Copied
	}
	if copied != 2*41 {
		t.Errorf("%d copied, want 82: each blob by one shard", copied)
	}
	if diff := cmp.Diff(whole.held(0), w.held(1)); diff != "" {
		t.Errorf("(-one +shards)\n%s", diff)
	}
	if r := w.passOf(t.Context(), cfg, Options{Shard: shard.Shard{Index: 1, Of: 3}}); r.Blobs.Copied != 0 || r.Images.Complete != 20 || r.Stores[0].Incomplete != 0 {
		t.Errorf("after all shards: %+v", r)
	}
}

// What was done before an interruption is kept, and not read again.
func TestInterrupted(t *testing.T) {
	w := newWorld(t, 2)
	for i := range 30 {
		w.Image("app", fmt.Sprint("v", i), fmt.Sprint("layer", i))
	}
	cfg := w.config()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var served atomic.Int64
	var at time.Time
	stop := sync.OnceFunc(func() { at = time.Now(); cancel() })
	w.Fail(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		if served.Add(1) > 25 {
			stop()
			<-r.Context().Done() // hangs, as a dead source does
			return true
		}
		return false
	})
	r := w.passOf(ctx, cfg, Options{})
	stop()
	if took := time.Since(at); r.Result != Interrupted || took > 45*time.Second { // a minute is when a source that hangs is given up
		t.Fatalf("%+v, %s after it was to end", r, took)
	}
	w.Fail(nil)
	w.Asked()
	have, other := 0, w.held(1)
	for d := range w.held(0) { // those not in both stores are read for the other
		if _, both := other[d]; both {
			have++
		}
	}
	r = w.passOf(t.Context(), cfg, Options{})
	if r.Result != Done {
		t.Fatalf("%+v", r)
	}
	w.wantSame(60)
	read := map[string]bool{}
	for _, l := range w.Asked() {
		if _, d, ok := strings.Cut(l, "/blobs/"); ok && strings.HasPrefix(l, "GET ") {
			read[d] = true
		}
	}
	if have == 0 || len(read) > 60-have+2 {
		t.Errorf("%d blobs were there, %d read again: %v", have, len(read), slices.Sorted(maps.Keys(read)))
	}
}

// Google's listing has digests, ages and untagged manifests: nothing is resolved, and each manifest is read once.
func TestGoogleListing(t *testing.T) {
	w := newWorld(t, 1, registrytest.Options{
		Referrers: true, Digests: func(string) bool { return true }, Now: func() time.Time { return time.Now().Add(-time.Hour) },
	})
	a, b := w.Image("app", "", "base", "one"), w.Image("app", "", "base", "two")
	all := w.Index("app", "all", a, b)
	asked := make(chan struct{})
	found := sync.OnceFunc(func() { close(asked) })
	w.Fail(func(rw http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.HasSuffix(r.URL.Path, string(b.Digest)):
			found()
			rw.WriteHeader(http.StatusNotFound)
			return true
		case strings.HasSuffix(r.URL.Path, string(all.Digest)): // it waits for b, or b is known to be gone
			<-asked
		}
		return false
	})
	cfg := w.config()
	cfg.Mirror.Repositories.Include, cfg.Mirror.Repositories.List = nil, []string{"app"}
	w.Asked()
	r := w.passOf(t.Context(), cfg, Options{})
	log := w.Asked()
	if got := count(log, "", "/manifests/"); got != 3 {
		t.Errorf("%d requests for 3 manifests:\n%s", got, strings.Join(log, "\n"))
	}
	if got := count(log, "", "/referrers/"); got != 0 {
		t.Errorf("%d requests for referrers, which the list has", got)
	}
	// b is gone, and so the index is not complete.
	if s := r.Stores[0]; r.Result != Partial || r.Vanished != 1 || s.Incomplete != 1 || s.LagSeconds < 3590 || s.LagSeconds > 3700 || s.OldestSeconds < s.LagSeconds {
		t.Errorf("%+v", r)
	}
	if r.Errors[SourceGone] != 1 {
		t.Errorf("errors %v, want one for the index, whoever reads b", r.Errors)
	}
}
