package registrytest

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func (r *Registry) catalog(rw http.ResponseWriter, req *http.Request) error {
	if req.Method != http.MethodGet {
		return errMethod
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return show(rw, map[string]any{"repositories": r.page(rw, req, slices.Sorted(maps.Keys(r.repos)))})
}

func (r *Registry) tags(rw http.ResponseWriter, req *http.Request, repo, rest string) error {
	if req.Method != http.MethodGet {
		return errMethod
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if rest != "" {
		return errNoSuchPath
	}
	if r.opt.Digests != nil && r.opt.Digests(repo) {
		return r.digests(rw, repo)
	}
	from := r.repos[repo]
	if from == nil {
		return errNoName
	}
	return show(rw, map[string]any{"name": repo, "tags": r.page(rw, req, slices.Sorted(maps.Keys(from.tags)))})
}

// digests sends the listing of Google's registries: all on one page, with the names below.
func (r *Registry) digests(rw http.ResponseWriter, repo string) error {
	children := map[string]bool{}
	for name := range r.repos {
		if below, ok := strings.CutPrefix(name, repo+"/"); ok {
			child, _, _ := strings.Cut(below, "/")
			children[child] = true
		}
	}
	from := r.repos[repo]
	if from == nil && len(children) == 0 {
		return errNoName
	}
	type listed struct {
		Size      string   `json:"imageSizeBytes"`
		MediaType string   `json:"mediaType"`
		Created   string   `json:"timeCreatedMs"`
		Uploaded  string   `json:"timeUploadedMs"`
		Tags      []string `json:"tag"`
	}
	from = r.at(repo)
	manifests := map[string]listed{}
	for d, m := range from.manifests {
		ms := strconv.FormatInt(m.pushed.UnixMilli(), 10)
		l := listed{Size: strconv.Itoa(len(m.raw)), MediaType: m.mediaType, Created: ms, Uploaded: ms, Tags: []string{}}
		for _, tag := range slices.Sorted(maps.Keys(from.tags)) {
			if from.tags[tag] == d {
				l.Tags = append(l.Tags, tag)
			}
		}
		manifests[d] = l
	}
	return show(rw, map[string]any{
		"name": repo, "tags": list(slices.Sorted(maps.Keys(from.tags))), "manifest": manifests, "child": list(slices.Sorted(maps.Keys(children))),
	})
}

// page returns the requested part of a list, and sets the link to the next page.
func (r *Registry) page(rw http.ResponseWriter, req *http.Request, all []string) []string {
	query := req.URL.Query()
	if last := query.Get("last"); last != "" {
		at, found := slices.BinarySearch(all, last)
		if found {
			at++
		}
		all = all[at:]
	}
	n := len(all)
	if asked, err := strconv.Atoi(query.Get("n")); err == nil && asked >= 0 {
		n = min(n, asked)
	}
	if r.opt.PerPage > 0 {
		n = min(n, r.opt.PerPage)
	}
	if n < len(all) && n > 0 {
		next := url.Values{"last": {all[n-1]}, "n": {strconv.Itoa(n)}}
		rw.Header().Set("Link", "<"+req.URL.Path+"?"+next.Encode()+`>; rel="next"`)
	}
	return list(all[:n])
}

func (r *Registry) referrers(rw http.ResponseWriter, req *http.Request, repo, to string) error {
	if req.Method != http.MethodGet {
		return errMethod
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.opt.Referrers {
		return errNoSuchPath
	}
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	index.SchemaVersion = 2
	from := r.at(repo)
	for _, d := range slices.Sorted(maps.Keys(from.manifests)) {
		m := from.manifests[d]
		var b body
		if json.Unmarshal(m.raw, &b) != nil || b.Subject == nil || b.Subject.Digest.String() != to {
			continue
		}
		if b.ArtifactType == "" && b.Config != nil {
			b.ArtifactType = b.Config.MediaType
		}
		index.Manifests = append(index.Manifests, ocispec.Descriptor{
			MediaType: m.mediaType, Digest: digest.Digest(d), Size: int64(len(m.raw)), ArtifactType: b.ArtifactType, Annotations: b.Annotations,
		})
	}
	rw.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
	return show(rw, index)
}

// list makes sure that an empty list is not null in JSON.
func list(all []string) []string { return append([]string{}, all...) }

func show(rw http.ResponseWriter, v any) error {
	if rw.Header().Get("Content-Type") == "" {
		rw.Header().Set("Content-Type", "application/json")
	}
	return json.NewEncoder(rw).Encode(v)
}
