package check

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestUpstreamFaults puts one fault at a time into a good canonical upstream.
func TestUpstreamFaults(t *testing.T) {
	manifests := func(h http.HandlerFunc) faultFunc {
		return func(im *image, w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/manifests/") || im.isMadeUp(r) {
				return false
			}
			h(w, r)
			return true
		}
	}
	tests := []struct {
		name   string
		fault  faultFunc
		check  string
		result Result
		detail string
		hint   string
	}{
		{"401 to an anonymous manifest", manifests(status(401)), "manifest", Failed, "401: asks for a login", "readable by anyone"},
		{"401 to all", always(401), "absent.manifest", Failed, "401", "readable by anyone"},
		{"HTML with 200", manifests(func(w http.ResponseWriter, r *http.Request) { page(nil, w, r) }), "manifest", Failed, "HTML page", "web page"},
		{"login page", func(im *image, w http.ResponseWriter, r *http.Request) bool {
			if strings.HasPrefix(r.URL.Path, "/login") {
				return page(im, w, r)
			}
			http.Redirect(w, r, "/login?next=x", http.StatusFound)
			return true
		}, "manifest", Failed, "login page", "readable by anyone"},
		{"endless redirects", manifests(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		}), "manifest", Failed, "307 redirects to", "final address"},
		{"schema 1", manifests(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/vnd.docker.distribution.manifest.v1+prettyjws")
			_, _ = w.Write([]byte(`{"schemaVersion":1,"fsLayers":[]}`))
		}), "manifest", Failed, "neither an image manifest nor an index", "prefix"},
		{"no such image", manifests(status(404)), "manifest", Failed, "404 for the manifest of app/web:1.0", "--image"},
		{"another digest in the header", func(im *image, w http.ResponseWriter, r *http.Request) bool {
			if body, ok := im.manifests[base(r)]; ok && r.Method == http.MethodGet {
				w.Header().Set("Docker-Content-Digest", digestOf([]byte("other")))
				_, _ = w.Write(body)
				return true
			}
			return false
		}, "manifest", Failed, "does not fit", "check the digest"},
		{"changes manifests", func(im *image, w http.ResponseWriter, r *http.Request) bool {
			if body, ok := im.manifests[base(r)]; ok && base(r) == im.child {
				_, _ = w.Write(append([]byte(" "), body...))
				return true
			}
			return false
		}, "manifest", Failed, "another digest", "changes manifests"},
		{"no digest header", func(im *image, w http.ResponseWriter, r *http.Request) bool {
			if _, ok := im.manifests[base(r)]; ok && r.Method == http.MethodHead {
				w.WriteHeader(200)
				return true
			}
			return false
		}, "manifest.head", Warning, "no Docker-Content-Digest", "twice"},
		{"500 for a made-up digest", madeUpOnly(status(500)), "absent.blob", Failed, "500", "log"},
		{"200 for a made-up digest", madeUpOnly(writeOK), "absent.manifest", Failed, "does not exist", "403 or 404"},
		{"hangs", hang, "connect", Failed, "nothing else was asked", "firewall"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			im := newImage()
			good := im.registry()
			w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if !tt.fault(im, rw, r) {
					good.ServeHTTP(rw, r)
				}
			}))
			if tt.name == "hangs" {
				t.Parallel()
				w.opts.Timeout = time.Second
			}
			expect(t, w.live(), "canon", tt.check, tt.result, tt.detail, tt.hint)
		})
	}
}

func TestReplicas(t *testing.T) {
	im := newImage()
	w := newWorld(t, im.registry())
	w.upstream("empty", http.NotFoundHandler(), false)
	w.upstream("closed", status(401), false)
	r := w.live()
	expect(t, r, "empty", "manifest", Info, "it is not here", "")
	expect(t, r, "closed", "manifest", Failed, "401", "readable by anyone")
	expect(t, r, "canon", "get", OK, "digest verified", "")
}

// TestRedirectors guards that the check finds a replica that redirects every request. Such a replica once passed the
// check, and its clients got 404.
func TestRedirectors(t *testing.T) {
	im := newImage()
	w := newWorld(t, im.registry())
	var bucket string
	redirect := func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, bucket+"/images/"+base(r), http.StatusTemporaryRedirect)
	}
	blobs := func(all bool) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/blobs/") && (all || !im.isMadeUp(r)) {
				redirect(rw, r)
				return
			}
			im.registry().ServeHTTP(rw, r)
		}
	}
	w.upstream("redirects-any-blob", blobs(true), false)
	w.upstream("redirects-its-blobs", blobs(false), false)
	w.upstream("redirects-manifests", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/behind") {
			r.URL.Path = strings.TrimPrefix(r.URL.Path, "/behind")
			im.registry().ServeHTTP(rw, r)
			return
		}
		http.Redirect(rw, r, "/behind"+r.URL.Path, http.StatusTemporaryRedirect)
	}), false)
	bucket = w.serve("bucket", im.store())
	r := w.live()
	expect(t, r, "redirects-any-blob", "absent.blob", Failed, "redirects whatever is asked for", "in its place")
	expect(t, r, "redirects-any-blob", "absent.manifest", OK, "404", "")
	expect(t, r, "redirects-its-blobs", "absent.blob", OK, "404", "")
	expect(t, r, "redirects-its-blobs", "get", OK, "digest verified", "")
	expect(t, r, "redirects-manifests", "absent.manifest", Failed, "redirects whatever is asked for", "in its place")
	expect(t, r, "redirects-manifests", "manifest.head", Warning, "accepts no redirect for a manifest", "in its place")
	for _, f := range r.Findings {
		if f.Target == "redirects-its-blobs" && f.Result == Failed {
			t.Errorf("%+v", f)
		}
	}
	// The canonical upstream has everything: its redirects of missing content are accepted.
	w = newWorld(t, blobs(true))
	bucket = w.serve("bucket", im.store())
	expect(t, w.live(), "canon", "absent.blob", OK, "403", "")
}

// TestBlobRedirect guards that the check follows a registry that keeps its blobs in a bucket.
func TestBlobRedirect(t *testing.T) {
	im := newImage()
	var bucket string
	good := im.registry()
	w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/") && !im.isMadeUp(r) {
			http.Redirect(rw, r, bucket+"/images/"+base(r)+"?X-Signature=SECRET", http.StatusTemporaryRedirect)
			return
		}
		good.ServeHTTP(rw, r)
	}))
	bucket = w.serve("bucket", im.store())
	r := w.live()
	expect(t, r, "canon", "get", OK, "digest verified", "")
	expect(t, r, "canon", "range.open", OK, "", "")
	if r.Errors > 0 {
		t.Errorf("findings: %+v", r.Findings)
	}
}

// TestNoImage guards that the other checks are made without an image, and that the report says so.
func TestNoImage(t *testing.T) {
	im := newImage()
	w := newWorld(t, im.registry())
	w.opts.Images = nil
	w.store("s3", im.store())
	r := w.live()
	expect(t, r, "s3", "absent.get", OK, "403", "")
	expect(t, r, "canon", "absent.manifest", OK, "404", "")
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "--image") || len(r.Images) != 0 {
		t.Errorf("notes %q, images %q", r.Notes, r.Images)
	}
}

// TestMirrorList guards that the check asks for the mirror's repositories, with a tag that exists.
func TestMirrorList(t *testing.T) {
	im := newImage()
	w := newWorld(t, im.registry())
	w.opts.Images = nil
	w.cfg.Mirror.Repositories.List = []string{"app/web", "gone/app"}
	w.store("s3", im.store())
	r := w.live()
	expect(t, r, "canon", "manifest", OK, "app/web:1.0", "")
	expect(t, r, "canon", "manifest", Failed, "gone/app:latest", "--image")
	expect(t, r, "s3", "get", OK, "digest verified", "")
}

func TestBadImage(t *testing.T) {
	w := newWorld(t, newImage().registry())
	for _, image := range []string{"", "UPPER", "host:5000/x", "a:", "a@sha256:12", "a:b:c"} {
		w.opts.Images = []string{image}
		if _, err := Live(t.Context(), w.cfg, w.opts); err == nil || ValidImage(image) == nil {
			t.Errorf("image %q is taken", image)
		}
	}
}
