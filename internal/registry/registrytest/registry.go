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

// Options are the options of [New].
type Options struct {
	// Referrers makes the registry have the API that lists the referrers of a manifest.
	Referrers bool
	// Digests says which repositories are listed as on Google's registries: with digests, and with the names below
	// them. nil means none.
	Digests func(repo string) bool
	// NoMounts makes the registry refuse to mount blobs and start an upload instead.
	NoMounts bool
	// PerPage limits the entries on each page of a list. 0 means no limit.
	PerPage int
	// Around wraps the registry. Faults and the log come before it. nil means no wrapper.
	Around func(http.Handler) http.Handler
	// Now returns the time of a push. nil means the real time.
	Now func() time.Time
}

// Registry is a registry and its server. Several goroutines may call its methods. The methods that push check nothing:
// the content need not be complete.
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

// Fault is called before each request is answered. When it returns true, it has answered the request itself.
type Fault func(http.ResponseWriter, *http.Request) bool

// repository is the content under one name. Each repository has its own blobs, as the specification requires.
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

// Close stops the server. It may be called more than once.
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

// Fail makes f the fault from now on. nil makes the registry healthy again.
func (r *Registry) Fail(f Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = f
}

// Change changes the options. A change of Around has no effect.
func (r *Registry) Change(f func(*Options)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.opt)
}

// Asked returns the requests since the last call, in the form "GET /v2/app/tags/list".
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

// BlobOf returns a blob of a repository, or nil when there is none. The caller must not change it.
func (r *Registry) BlobOf(repo, digest string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at(repo).blobs[digest]
}

// Digest returns the digest of a tag, or a digest that the repository has; "" when there is no such manifest.
func (r *Registry) Digest(repo, ref string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	digest, _ := r.at(repo).find(ref)
	return digest
}

// Manifest returns the manifest of a tag or digest, or nil when there is none. The caller must not change it.
func (r *Registry) Manifest(repo, ref string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, m := r.at(repo).find(ref)
	return m.raw
}

// Content returns all tags and digests, in order, as "app:v1 0123abcd" and "app@sha256:… 0123abcd", where the last part
// is the beginning of the digest.
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

// at returns a repository to read, empty when it does not exist. The caller holds the lock.
func (r *Registry) at(repo string) *repository {
	if found := r.repos[repo]; found != nil {
		return found
	}
	return new(repository)
}

// make returns a repository to write to. The caller holds the lock.
func (r *Registry) make(repo string) *repository {
	found := r.repos[repo]
	if found == nil {
		found = &repository{blobs: map[string][]byte{}, manifests: map[string]manifest{}, tags: map[string]string{}}
		r.repos[repo] = found
	}
	return found
}

// find returns the digest of a reference, and its manifest.
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

// sum returns the digest of content by the algorithm of like, or "" for an algorithm that registries need not support.
func sum(content []byte, like string) string {
	switch algorithm, _, _ := strings.Cut(like, ":"); algorithm {
	case "sha256":
		return Sum(content)
	case "sha512":
		return fmt.Sprintf("sha512:%x", sha512.Sum512(content))
	}
	return ""
}
