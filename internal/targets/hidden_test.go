package targets

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"ociproxy/internal/store"
	"ociproxy/internal/transfer"
)

// What another tool has put, the probe included, with rights or headers of its own, is written again, and recorded when strangers get it then.
func TestHidden(t *testing.T) {
	const text = "content"
	hide := map[string]func(http.ResponseWriter){
		"private": func(rw http.ResponseWriter) { rw.WriteHeader(http.StatusForbidden) },
		"encoded": func(rw http.ResponseWriter) { rw.Header().Set("Content-Encoding", "gzip") },
	}
	for name, answer := range hide {
		for _, forever := range []bool{false, true} {
			t.Run(map[bool]string{false: "until it is written again, ", true: "for good, "}[forever]+name, func(t *testing.T) {
				dir := mkdir(t)
				b := blobOf(t, text)
				bucket, err := store.Open(t.Context(), "file://"+dir, store.Options{})
				if err != nil {
					t.Fatal(err)
				}
				old := map[string]os.FileInfo{} // by path: what the other tool has put
				for key, content := range map[string]string{store.BlobKey(b.Digest): text, store.BlobKey(probeDigest): probeText} {
					if _, err := bucket.Put(t.Context(), key, store.Bytes([]byte(content)), store.Header{ContentType: "text/plain"}, ""); err != nil {
						t.Fatal(err)
					}
					if old["/"+key], err = os.Stat(filepath.Join(dir, key)); err != nil {
						t.Fatal(err)
					}
				}
				url := public(t, dir, func(h http.Handler) http.Handler {
					return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
						now, err := os.Stat(filepath.Join(dir, r.URL.Path))
						was, ok := old[r.URL.Path]
						if ok && err == nil && (os.SameFile(was, now) || forever && filepath.Base(r.URL.Path) != Probe) {
							answer(rw)
						}
						h.ServeHTTP(rw, r)
					})
				})
				f := open(t, parse(t, storeAt("s", dir, url, "")), Options{Source: sourceOf{b.Digest.String(): text}})
				var got Result
				for r := range f.Ensure(t.Context(), b, f.Ledger.Lacking(b.Digest)) {
					got = r
				}
				_, held := f.Ledger.Holds(0, b.Digest)
				if forever && (!errors.Is(got.Err, store.ErrHidden) || held) || !forever && (got.Err != nil || got.How != transfer.Repaired || !held) {
					t.Errorf("%v, %v, recorded %v", got.How, got.Err, held)
				}
			})
		}
	}
}

// TestStillHidden: a blob that anonymous clients do not get after it was written again is not written in each pass.
func TestStillHidden(t *testing.T) {
	const text = "content"
	dir := mkdir(t)
	b := blobOf(t, text)
	bucket, err := store.Open(t.Context(), "file://"+dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.Put(t.Context(), store.BlobKey(b.Digest), store.Bytes([]byte(text)), store.BlobHeader, ""); err != nil {
		t.Fatal(err)
	}
	hidden := true
	url := public(t, dir, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if hidden && r.URL.Path == "/"+store.BlobKey(b.Digest) {
				rw.WriteHeader(http.StatusForbidden)
				return
			}
			h.ServeHTTP(rw, r)
		})
	})
	cfg, fit := parse(t, storeAt("s", dir, url, "")), &Fit{}
	var versions []string
	pass := func() (got Result) {
		f := open(t, cfg, Options{Source: sourceOf{b.Digest.String(): text}, Fit: fit})
		for r := range f.Ensure(t.Context(), b, f.Ledger.Lacking(b.Digest)) {
			got = r
		}
		a, err := bucket.Head(t.Context(), store.BlobKey(b.Digest))
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, a.Version)
		return got
	}
	for range 3 {
		if got := pass(); !errors.Is(got.Err, store.ErrHidden) {
			t.Errorf("%v, %v", got.How, got.Err)
		}
	}
	hidden = false
	if got := pass(); got.Err != nil || got.How != transfer.AlreadyThere {
		t.Errorf("%v, %v", got.How, got.Err)
	}
	for _, v := range versions {
		if v != versions[0] {
			t.Errorf("versions %q", versions)
		}
	}
}
