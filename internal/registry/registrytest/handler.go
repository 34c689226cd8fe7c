package registrytest

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ociproxy/internal/oci"
)

// refusal is an error answer.
type refusal struct {
	status int
	code   string // of the specification
}

func (e refusal) Error() string { return e.code }

var (
	errNoName     = refusal{http.StatusNotFound, "NAME_UNKNOWN"}
	errBadName    = refusal{http.StatusBadRequest, "NAME_INVALID"}
	errNoManifest = refusal{http.StatusNotFound, "MANIFEST_UNKNOWN"}
	errNoBlob     = refusal{http.StatusNotFound, "BLOB_UNKNOWN"}
	errNoUpload   = refusal{http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN"}
	errBadUpload  = refusal{http.StatusBadRequest, "BLOB_UPLOAD_INVALID"}
	errBadDigest  = refusal{http.StatusBadRequest, "DIGEST_INVALID"}
	errBadBody    = refusal{http.StatusBadRequest, "MANIFEST_INVALID"}
	errNotWhole   = refusal{http.StatusNotFound, "MANIFEST_BLOB_UNKNOWN"}
	errMethod     = refusal{http.StatusMethodNotAllowed, "UNSUPPORTED"}
	errNoSuchPath = refusal{http.StatusNotFound, "UNSUPPORTED"}
)

// routes handles requests. Each one is for one resource: a repository name, the kind of resource, and which one.
func (r *Registry) routes() http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		err := r.route(rw, req)
		if err == nil {
			return
		}
		refused, ok := errors.AsType[refusal](err)
		if !ok {
			panic(http.ErrAbortHandler) // the request's body was cut off
		}
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(refused.status)
		_ = json.NewEncoder(rw).Encode(map[string]any{"errors": []any{map[string]string{"code": refused.code, "message": refused.code}}})
	})
}

func (r *Registry) route(rw http.ResponseWriter, req *http.Request) error {
	path, ok := strings.CutPrefix(req.URL.Path, "/v2/")
	switch {
	case !ok:
		return errNoSuchPath
	case path == "":
		rw.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
		return nil
	case path == "_catalog":
		return r.catalog(rw, req)
	}
	for _, kind := range []struct {
		part  string
		serve func(http.ResponseWriter, *http.Request, string, string) error
	}{
		{"/blobs/uploads/", r.upload}, {"/blobs/", r.blob}, {"/manifests/", r.manifest}, {"/tags/list", r.tags}, {"/referrers/", r.referrers},
	} {
		repo, which, ok := strings.Cut(path, kind.part)
		switch {
		case !ok:
			continue
		case !oci.ValidName(repo):
			return errBadName
		}
		return kind.serve(rw, req, repo, which)
	}
	return errNoSuchPath
}

func (r *Registry) blob(rw http.ResponseWriter, req *http.Request, repo, of string) error {
	r.mu.Lock()
	content, ok := r.at(repo).blobs[of]
	r.mu.Unlock()
	if !ok {
		return errNoBlob
	}
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		return errMethod
	}
	rw.Header().Set("Docker-Content-Digest", of)
	rw.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(rw, req, "", time.Time{}, bytes.NewReader(content))
	return nil
}

func (r *Registry) manifest(rw http.ResponseWriter, req *http.Request, repo, ref string) error {
	switch req.Method {
	case http.MethodPut:
		return r.putManifest(rw, req, repo, ref)
	case http.MethodGet, http.MethodHead:
	default:
		return errMethod
	}
	r.mu.Lock()
	of, m := r.at(repo).find(ref)
	r.mu.Unlock()
	if of == "" {
		return errNoManifest
	}
	rw.Header().Set("Docker-Content-Digest", of)
	rw.Header().Set("Content-Type", m.mediaType)
	rw.Header().Set("Content-Length", strconv.Itoa(len(m.raw)))
	if req.Method == http.MethodGet {
		_, _ = rw.Write(m.raw)
	}
	return nil
}

// body has the members of a manifest that the registry looks at.
type body struct {
	MediaType    string               `json:"mediaType"`
	ArtifactType string               `json:"artifactType"`
	Annotations  map[string]string    `json:"annotations"`
	Config       *ocispec.Descriptor  `json:"config"`
	Layers       []ocispec.Descriptor `json:"layers"`
	Manifests    []ocispec.Descriptor `json:"manifests"`
	Subject      *ocispec.Descriptor  `json:"subject"`
}

func (r *Registry) putManifest(rw http.ResponseWriter, req *http.Request, repo, ref string) error {
	raw, err := io.ReadAll(req.Body)
	if err != nil {
		return err
	}
	var b body
	of := Sum(raw)
	if strings.Contains(ref, ":") {
		if of = sum(raw, ref); of != ref {
			return errBadDigest
		}
	} else if !oci.ValidTag(ref) {
		return errBadBody
	}
	if json.Unmarshal(raw, &b) != nil {
		return errBadBody
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	to := r.make(repo)
	if !to.whole(&b) {
		return errNotWhole
	}
	to.manifests[of] = manifest{cmp.Or(req.Header.Get("Content-Type"), b.MediaType), raw, r.now()}
	if !strings.Contains(ref, ":") {
		to.tags[ref] = of
	}
	if r.opt.Referrers && b.Subject != nil {
		rw.Header().Set("OCI-Subject", b.Subject.Digest.String())
	}
	rw.Header().Set("Docker-Content-Digest", of)
	rw.Header().Set("Location", "/v2/"+repo+"/manifests/"+of)
	rw.WriteHeader(http.StatusCreated)
	return nil
}

// whole reports whether a repository has all that a manifest needs. An index may list a blob. Layers with URLs and the
// subject of a manifest need not be there.
func (r *repository) whole(b *body) bool {
	layers := b.Layers
	if b.Config != nil {
		layers = append(layers, *b.Config)
	}
	for _, l := range layers {
		if _, ok := r.blobs[l.Digest.String()]; !ok && len(l.URLs) == 0 {
			return false
		}
	}
	for _, m := range b.Manifests {
		_, isManifest := r.manifests[m.Digest.String()]
		_, isBlob := r.blobs[m.Digest.String()]
		if !isManifest && !isBlob {
			return false
		}
	}
	return true
}

// upload is a blob that is being uploaded.
type upload struct {
	repo    string
	content []byte
}

func (r *Registry) upload(rw http.ResponseWriter, req *http.Request, repo, id string) error {
	raw, err := io.ReadAll(req.Body)
	if err != nil {
		return err
	}
	query := req.URL.Query()
	r.mu.Lock()
	defer r.mu.Unlock()
	if req.Method == http.MethodPost && id == "" {
		if of := query.Get("mount"); of != "" && !r.opt.NoMounts {
			if content, ok := r.at(query.Get("from")).blobs[of]; ok {
				return r.taken(rw, repo, of, content)
			}
		}
		if of := query.Get("digest"); of != "" {
			return r.taken(rw, repo, of, raw)
		}
		id = rand.Text()
		r.uploads[id] = &upload{repo: repo}
		return underWay(rw, repo, id, 0)
	}
	u := r.uploads[id]
	if u == nil || u.repo != repo {
		return errNoUpload
	}
	switch req.Method {
	case http.MethodPatch:
		if first, _, ok := strings.Cut(req.Header.Get("Content-Range"), "-"); ok && first != strconv.Itoa(len(u.content)) {
			return refusal{http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID"}
		}
		u.content = append(u.content, raw...)
		return underWay(rw, repo, id, len(u.content))
	case http.MethodPut:
		if query.Get("digest") == "" {
			return errBadUpload
		}
		if err := r.taken(rw, repo, query.Get("digest"), append(u.content, raw...)); err != nil {
			return err
		}
		delete(r.uploads, id)
		return nil
	case http.MethodDelete:
		delete(r.uploads, id)
		rw.WriteHeader(http.StatusNoContent)
		return nil
	}
	return errMethod
}

func underWay(rw http.ResponseWriter, repo, id string, n int) error {
	rw.Header().Set("Location", "/v2/"+repo+"/blobs/uploads/"+id)
	rw.Header().Set("Range", "0-"+strconv.Itoa(max(0, n-1)))
	rw.WriteHeader(http.StatusAccepted)
	return nil
}

// taken stores content as a blob if its digest is right. The caller holds the lock.
func (r *Registry) taken(rw http.ResponseWriter, repo, of string, content []byte) error {
	if sum(content, of) != of {
		return errBadDigest
	}
	r.make(repo).blobs[of] = content
	rw.Header().Set("Docker-Content-Digest", of)
	rw.Header().Set("Location", "/v2/"+repo+"/blobs/"+of)
	rw.WriteHeader(http.StatusCreated)
	return nil
}
