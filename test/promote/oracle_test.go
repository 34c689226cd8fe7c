package promote

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"ociproxy/test/shop"
	"ociproxy/test/source"
)

// api reads a registry directly, not through its gate.
type api struct {
	base   string // http://host:port/v2/
	client *http.Client
}

func newAPI(addr string) *api {
	return &api{base: "http://" + addr + "/v2/", client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}}
}

const accept = source.OCIManifest + ", " + source.OCIIndex + ", application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json"

// do makes a request. For 404, found is false and err is nil.
func (a *api) do(method, path string) (header http.Header, body []byte, found bool, err error) {
	req, err := http.NewRequest(method, a.base+path, nil)
	if err != nil {
		return nil, nil, false, err
	}
	req.Header.Set("Accept", accept)
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, nil, false, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	switch {
	case err != nil:
	case resp.StatusCode == http.StatusNotFound:
		return nil, nil, false, nil
	case resp.StatusCode >= 300:
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, body)
	}
	return resp.Header, body, err == nil, err
}

// digest returns the digest of a tag, or "" if there is no such tag.
func (a *api) digest(repo, ref string) (string, error) {
	h, _, found, err := a.do(http.MethodHead, repo+"/manifests/"+ref)
	if !found {
		return "", err
	}
	return h.Get("Docker-Content-Digest"), err
}

// tags lists a repository that may not exist.
func (a *api) tags(repo string) (tags []string, err error) {
	for path := repo + "/tags/list?n=50"; path != ""; {
		h, body, found, err := a.do(http.MethodGet, path)
		if !found {
			return tags, err
		}
		var page struct{ Tags []string }
		if err := json.Unmarshal(body, &page); err != nil {
			return nil, err
		}
		tags = append(tags, page.Tags...)
		path = ""
		if link, _, ok := strings.Cut(strings.TrimPrefix(h.Get("Link"), "<"), ">"); ok {
			u, err := url.Parse(link)
			if err != nil {
				return nil, err
			}
			path = strings.TrimPrefix(u.RequestURI(), "/v2/")
		}
	}
	return tags, nil
}

// document is any manifest.
type document struct {
	MediaType string
	Config    *source.Descriptor
	Layers    []source.Descriptor
	Blobs     []source.Descriptor
	Manifests []source.Descriptor
}

// closure reads a manifest with its children, all from one repository, and asks that repository for every blob. It
// returns the blobs. Anything that is missing is an error.
func (a *api) closure(repo, digest string) (map[string]int64, error) {
	blobs := map[string]int64{}
	todo := []string{digest}
	for len(todo) > 0 {
		d := todo[0]
		todo = todo[1:]
		_, body, found, err := a.do(http.MethodGet, repo+"/manifests/"+d)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, fmt.Errorf("%s has no manifest %s", repo, d)
		}
		if got := source.DigestOf("sha256", strings.NewReader(string(body))); got != d {
			return nil, fmt.Errorf("%s@%s: the bytes are %s", repo, d, got)
		}
		var doc document
		if err := json.Unmarshal(body, &doc); err != nil {
			return nil, err
		}
		for _, c := range doc.Manifests {
			todo = append(todo, c.Digest)
		}
		list := append(doc.Layers, doc.Blobs...)
		if doc.Config != nil {
			list = append(list, *doc.Config)
		}
		for _, b := range list {
			blobs[b.Digest] = b.Size
		}
	}
	for d := range blobs {
		_, _, found, err := a.do(http.MethodHead, repo+"/blobs/"+d)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, fmt.Errorf("%s@%s: blob %s is missing", repo, digest, d)
		}
	}
	return blobs, nil
}

// includes compares two lists of what refers to an image: everything in theirs must also be in a's.
func (a *api) includes(repo, digest string, theirs *api, from, want string) error {
	var lists [2]document
	for i, at := range []struct {
		*api
		path string
	}{{a, repo + "/manifests/" + digest}, {theirs, from + "/manifests/" + want}} {
		_, body, found, err := at.do(http.MethodGet, at.path)
		if err == nil && !found {
			err = fmt.Errorf("%s is gone", at.path)
		}
		if err == nil {
			err = json.Unmarshal(body, &lists[i])
		}
		if err != nil {
			return err
		}
	}
	for _, d := range lists[1].Manifests {
		if !slices.ContainsFunc(lists[0].Manifests, func(have source.Descriptor) bool {
			return have.Digest == d.Digest && have.ArtifactType == d.ArtifactType && have.Size == d.Size
		}) {
			return fmt.Errorf("the list of what refers to the image lacks %s", d.Digest)
		}
	}
	return nil
}

// whole fails the test unless production and all stores match the entries: tags, digests, what is about them, and every
// blob. It checks what registries answer, the bytes that stores send, and their inventories.
func (w *world) whole(t testing.TB, all []entry) {
	t.Helper()
	w.wholeIn(t, all, []int{0, 1}, w.shops)
}

// wholeIn checks like whole, but only some registries and some stores.
func (w *world) wholeIn(t testing.TB, all []entry, prod []int, shops []*shop.Shop) {
	t.Helper()
	staging := newAPI(w.staging.Addr)
	var mu sync.Mutex
	blobs := map[string]int64{}
	var g errgroup.Group
	g.SetLimit(4)
	for _, n := range prod {
		a := newAPI(w.prod[n].Addr)
		for _, e := range all {
			for _, d := range e.project.to {
				if d.prod != n {
					continue
				}
				g.Go(func() error {
					got, err := w.check(a, staging, e, d)
					mu.Lock()
					defer mu.Unlock()
					for digest, size := range got {
						blobs[digest] = size
					}
					return err
				})
			}
		}
	}
	if err := g.Wait(); err != nil {
		t.Errorf("oracle: %v", err)
		w.history(t, err.Error())
	}
	client := &http.Client{Timeout: time.Minute}
	defer client.CloseIdleConnections()
	for _, s := range shops {
		var g errgroup.Group
		g.SetLimit(4)
		for digest, size := range blobs {
			g.Go(func() error { return s.Check(client, digest, size) })
		}
		if err := g.Wait(); err != nil {
			t.Errorf("oracle: %s: %v", s.Name, err)
		}
		held := s.Inventory(t)
		for digest, size := range blobs {
			if held[digest] != size {
				t.Errorf("oracle: %s: the inventory says %d bytes of %s, want %d", s.Name, held[digest], digest, size)
				w.history(t, digest)
			}
		}
	}
}

var errOther = errors.New("it is another one")

// check checks one digest at one destination and returns its blobs.
func (w *world) check(a, staging *api, e entry, d destination) (map[string]int64, error) {
	repo := w.repository(e, d)
	for _, tag := range e.tags {
		if got, err := a.digest(repo, tag); got != e.digest {
			return nil, fmt.Errorf("%s%s:%s is %q, want %s: %w", a.base, repo, tag, got, e.digest, cmp.Or(err, errOther))
		}
	}
	blobs, err := a.closure(repo, e.digest)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.base, err)
	}
	about := strings.Replace(e.digest, ":", "-", 1)
	from := w.name + "/staging/" + e.project.folder + "/" + e.image
	for _, tag := range []string{about, about + ".sig", about + ".att", about + ".sbom"} {
		want, err := staging.digest(from, tag)
		if want == "" {
			if err != nil {
				return nil, err
			}
			continue
		}
		got, err := a.digest(repo, tag)
		if tag == about && got != "" {
			err = a.includes(repo, got, staging, from, want)
		}
		if err != nil || tag != about && got != want || got == "" {
			return nil, fmt.Errorf("%s%s:%s of %s is %q, staging has %s: %w", a.base, repo, tag, e.tags, got, want, cmp.Or(err, errOther))
		}
		more, err := a.closure(repo, got)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.base, err)
		}
		for digest, size := range more {
			blobs[digest] = size
		}
	}
	return blobs, nil
}

// history logs the audit log's lines about the digests in text.
func (w *world) history(t testing.TB, text string) {
	t.Helper()
	log, _ := os.ReadFile(w.log)
	for _, hex := range regexp.MustCompile(`[0-9a-f]{64}`).FindAllString(text, -1) {
		for line := range strings.Lines(string(log)) {
			if strings.Contains(line, hex) {
				t.Log(strings.TrimSpace(line))
			}
		}
	}
}
