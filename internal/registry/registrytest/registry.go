package registrytest

import (
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Options of [New].
type Options struct {
	// Referrers: it has the API that lists what refers to a manifest.
	Referrers bool
	// Digests says which repositories are listed as Google's registries do it: with digests, and with what lies below them. nil:
	// none is.
	Digests func(repo string) bool
	// NoMounts: it refuses to mount blobs, and begins an upload.
	NoMounts bool
	// PerPage bounds the entries of each page of a list; 0 does not.
	PerPage int
	// Around is put around the registry, inside of faults and of the log; nil is nothing.
	Around func(http.Handler) http.Handler
	// Now is when things are pushed; nil is the real time.
	Now func() time.Time
}

// Registry is a registry, and the server that speaks for it. Its methods may be called from several goroutines. Those that push
// ask nobody: what they push need not be whole.
type Registry struct {
	URL  string // http://127.0.0.1:PORT
	Host string // 127.0.0.1:PORT

	server *httptest.Server
	inner  http.Handler

	mu      sync.Mutex
	opt     Options
	repos   map[string]*repository
	uploads map[string]*upload
	asked   []string
	fault   Fault
}

// Fault is asked before each request is answered. Where it is true it has answered itself.
type Fault func(http.ResponseWriter, *http.Request) bool

// repository is what one name has. Blobs are kept apart by repository, as the specification has it.
type repository struct {
	blobs     map[string][]byte   // by digest
	manifests map[string]manifest // by digest
	tags      map[string]string   // digests, by tag
}

type manifest struct {
	mediaType string
	raw       []byte
	pushed    time.Time
}

// New starts a registry that ends with the test.
func New(t testing.TB, opt Options) *Registry {
	r := Start(opt)
	t.Cleanup(r.Close)
	return r
}

// Start starts a registry that ends with Close.
func Start(opt Options) *Registry {
	r := &Registry{opt: opt, repos: map[string]*repository{}, uploads: map[string]*upload{}}
	r.inner = r.routes()
	if opt.Around != nil {
		r.inner = opt.Around(r.inner)
	}
	r.server = httptest.NewServer(r)
	r.URL = r.server.URL
	r.Host = strings.TrimPrefix(r.URL, "http://")
	return r
}

// Close ends the server, and may be called again.
func (r *Registry) Close() { r.server.Close() }

// ServeHTTP implements [http.Handler].
func (r *Registry) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.asked = append(r.asked, req.Method+" "+req.URL.Path)
	fault := r.fault
	r.mu.Unlock()
	if fault != nil && fault(rw, req) {
		return
	}
	r.inner.ServeHTTP(rw, req)
}

// Fail makes f answer from now on, where it does; nil: the registry is well.
func (r *Registry) Fail(f Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = f
}

// Change changes the options; Around is as it was at the beginning.
func (r *Registry) Change(f func(*Options)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.opt)
}

// Asked returns the requests since the last call, as "GET /v2/app/tags/list".
func (r *Registry) Asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.asked
	r.asked = nil
	return asked
}

// HasBlob reports whether a repository has a blob.
func (r *Registry) HasBlob(repo, digest string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.at(repo).blobs[digest]
	return ok
}

// BlobOf returns a blob of a repository, nil when there is none. It must not be changed.
func (r *Registry) BlobOf(repo, digest string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at(repo).blobs[digest]
}

// Digest returns the digest of a tag, or of a digest that a repository has; "" when it has none.
func (r *Registry) Digest(repo, ref string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	digest, _ := r.at(repo).find(ref)
	return digest
}

// Manifest returns the manifest of a tag or digest, nil when there is none. It must not be changed.
func (r *Registry) Manifest(repo, ref string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, m := r.at(repo).find(ref)
	return m.raw
}

// Content returns all tags and digests, in order, as "app:v1 0123abcd" and "app@sha256:… 0123abcd", with the beginning of the
// digest.
func (r *Registry) Content() (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	short := func(digest string) string {
		_, hex, _ := strings.Cut(digest, ":")
		return hex[:8]
	}
	for name, repo := range r.repos {
		for d := range repo.manifests {
			out = append(out, name+"@"+d+" "+short(d))
		}
		for tag, d := range repo.tags {
			out = append(out, name+":"+tag+" "+short(d))
		}
	}
	slices.Sort(out)
	return out
}

// at is a repository to look at: an empty one where there is none. The lock is held.
func (r *Registry) at(repo string) *repository {
	if found := r.repos[repo]; found != nil {
		return found
	}
	return new(repository)
}

// make is a repository to write to. The lock is held.
func (r *Registry) make(repo string) *repository {
	found := r.repos[repo]
	if found == nil {
		found = &repository{blobs: map[string][]byte{}, manifests: map[string]manifest{}, tags: map[string]string{}}
		r.repos[repo] = found
	}
	return found
}

// find returns the digest of a reference and what has it.
func (r *repository) find(ref string) (string, manifest) {
	if !strings.Contains(ref, ":") {
		ref = r.tags[ref]
	}
	m, ok := r.manifests[ref]
	if !ok {
		return "", m
	}
	return ref, m
}

func (r *Registry) now() time.Time {
	if r.opt.Now != nil {
		return r.opt.Now()
	}
	return time.Now()
}

// Sum returns the sha256 digest of content.
func Sum(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }

// sum returns the digest of content by the algorithm of like, "" for an algorithm that registries need not know.
func sum(content []byte, like string) string {
	switch algorithm, _, _ := strings.Cut(like, ":"); algorithm {
	case "sha256":
		return Sum(content)
	case "sha512":
		return fmt.Sprintf("sha512:%x", sha512.Sum512(content))
	}
	return ""
}
