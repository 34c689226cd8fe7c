package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"

	"ociproxy/internal/oci"
)

// server is a registry in memory that counts requests. It supports mounts, has no referrers API, and lists as the
// specification says or as Google does.
type server struct {
	*httptest.Server
	google bool

	mu        sync.Mutex
	blobs     map[string][]byte            // by digest
	linked    map[string]bool              // repository@digest
	manifests map[string]stored            // repository@digest
	tags      map[string]map[string]string // by repository
	counts    map[string]int               // by kind
}

type stored struct {
	mediaType string
	raw       []byte
}

func newServer(google bool) *server {
	s := &server{google: google, blobs: map[string][]byte{}, linked: map[string]bool{}, manifests: map[string]stored{}, tags: map[string]map[string]string{}, counts: map[string]int{}}
	s.Server = httptest.NewServer(s)
	return s
}

// host returns the server's name in manifests.
func (s *server) host() string { return strings.TrimPrefix(s.URL, "http://") }

// take returns the number of requests by kind since the last call.
func (s *server) take() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.counts
	s.counts = map[string]int{}
	return out
}

// ServeHTTP implements [http.Handler].
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind, ok := "ping", true
	if path := strings.TrimPrefix(r.URL.Path, "/v2/"); path != "" {
		kind, ok = s.serve(w, r, path)
	}
	s.counts[kind]++
	if !ok {
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *server) serve(w http.ResponseWriter, r *http.Request, path string) (kind string, ok bool) {
	for _, part := range []struct {
		sep    string
		handle func(w http.ResponseWriter, r *http.Request, repo, ref string) bool
	}{{"/blobs/uploads/", s.upload}, {"/blobs/", s.blob}, {"/manifests/", s.manifest}, {"/tags/", s.list}, {"/referrers/", nil}} {
		repo, ref, found := strings.Cut(path, part.sep)
		if !found {
			continue
		}
		kind = r.Method + strings.TrimSuffix(part.sep, "/")
		if _, err := oci.ParseDigest(ref); err == nil && part.sep == "/manifests/" {
			kind += " by digest"
		}
		if r.URL.Query().Has("mount") {
			kind = "mount"
		}
		return kind, part.handle != nil && part.handle(w, r, repo, ref)
	}
	return "unknown", false
}

func (s *server) upload(w http.ResponseWriter, r *http.Request, repo, id string) bool {
	q := r.URL.Query()
	if d := q.Get("mount"); r.Method == http.MethodPost && d != "" && s.linked[q.Get("from")+"@"+d] {
		s.linked[repo+"@"+d] = true
		created(w, "/v2/"+repo+"/blobs/"+d, d)
		return true
	}
	if r.Method == http.MethodPost {
		w.Header().Set("Location", fmt.Sprintf("/v2/%s/blobs/uploads/%d", repo, len(s.linked)))
		w.WriteHeader(http.StatusAccepted)
		return true
	}
	body, err := io.ReadAll(r.Body)
	d := q.Get("digest")
	if err != nil || r.Method != http.MethodPut || id == "" || fmt.Sprintf("sha256:%x", sha256.Sum256(body)) != d {
		return false
	}
	s.put(repo, d, body)
	created(w, "/v2/"+repo+"/blobs/"+d, d)
	return true
}

// put adds a blob to a repository.
func (s *server) put(repo, digest string, body []byte) {
	s.blobs[digest], s.linked[repo+"@"+digest] = body, true
}

func created(w http.ResponseWriter, at, digest string) {
	w.Header().Set("Location", at)
	w.Header().Set("Docker-Content-Digest", digest)
	w.WriteHeader(http.StatusCreated)
}

func (s *server) blob(w http.ResponseWriter, r *http.Request, repo, d string) bool {
	if !s.linked[repo+"@"+d] {
		return false
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(s.blobs[d])))
	if r.Method != http.MethodHead {
		_, _ = w.Write(s.blobs[d])
	}
	return true
}

func (s *server) manifest(w http.ResponseWriter, r *http.Request, repo, ref string) bool {
	if r.Method == http.MethodPut {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			return false
		}
		d := s.putManifest(repo, ref, r.Header.Get("Content-Type"), raw)
		created(w, "/v2/"+repo+"/manifests/"+d, d)
		return true
	}
	if d := s.tags[repo][ref]; d != "" {
		ref = d
	}
	m, ok := s.manifests[repo+"@"+ref]
	if !ok {
		return false
	}
	w.Header().Set("Content-Type", m.mediaType)
	w.Header().Set("Docker-Content-Digest", ref)
	w.Header().Set("Content-Length", fmt.Sprint(len(m.raw)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(m.raw)
	}
	return true
}

func (s *server) putManifest(repo, ref, mediaType string, raw []byte) string {
	d := fmt.Sprintf("sha256:%x", sha256.Sum256(raw))
	s.manifests[repo+"@"+d] = stored{mediaType, raw}
	if s.tags[repo] == nil {
		s.tags[repo] = map[string]string{}
	}
	if ref != d {
		s.tags[repo][ref] = d
	}
	return d
}

func (s *server) list(w http.ResponseWriter, _ *http.Request, repo, _ string) bool {
	tags, ok := s.tags[repo]
	if !ok && !s.google {
		return false
	}
	doc := map[string]any{"name": repo, "tags": slices.Sorted(maps.Keys(tags))}
	if s.google {
		all := map[string]any{}
		for key, m := range s.manifests {
			if at, d, _ := strings.Cut(key, "@"); at == repo {
				mine := []string{}
				for tag, of := range tags {
					if of == d {
						mine = append(mine, tag)
					}
				}
				all[d] = map[string]any{"mediaType": m.mediaType, "imageSizeBytes": fmt.Sprint(len(m.raw)), "tag": mine, "timeCreatedMs": "0", "timeUploadedMs": "0"}
			}
		}
		doc["manifest"], doc["child"] = all, []string{}
	}
	_ = json.NewEncoder(w).Encode(doc)
	return true
}
