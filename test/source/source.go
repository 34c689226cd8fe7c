// Package source fills registries with images of every kind: shared layers, indexes, Docker's types, signatures,
// referrers, artifacts of unknown types, digests of two algorithms.
//
// It knows the push half of the distribution specification, and records what was pushed.
package source

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// Media types of what is pushed.
const (
	OCIManifest    = "application/vnd.oci.image.manifest.v1+json"
	OCIIndex       = "application/vnd.oci.image.index.v1+json"
	ociConfig      = "application/vnd.oci.image.config.v1+json"
	ociLayer       = "application/vnd.oci.image.layer.v1.tar+gzip"
	ociForeign     = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
	dockerLayer    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	simpleSigning  = "application/vnd.dev.cosign.simplesigning.v1+json"
	emptyConfig    = "application/vnd.oci.empty.v1+json"
)

// Blob is content that its seed can make again.
type Blob struct {
	Digest string
	Size   int64
	Open   func() io.Reader
}

// NewBlob makes size random bytes, with a digest of the algorithm: sha256 or sha512.
func NewBlob(seed uint64, size int64, algorithm string) Blob {
	b := Blob{Size: size, Open: func() io.Reader {
		var key [32]byte
		for i := range 8 {
			key[i] = byte(seed >> (8 * i))
		}
		return io.LimitReader(rand.NewChaCha8(key), size)
	}}
	b.Digest = DigestOf(algorithm, b.Open())
	return b
}

// BytesBlob returns a blob of the given content.
func BytesBlob(text []byte) Blob {
	return Blob{Digest: DigestOf("sha256", bytes.NewReader(text)), Size: int64(len(text)),
		Open: func() io.Reader { return bytes.NewReader(text) }}
}

func DigestOf(algorithm string, r io.Reader) string {
	h := Hasher(algorithm)
	if _, err := io.Copy(h, r); err != nil {
		panic(err) // cannot happen with a hash and a generator
	}
	return algorithm + ":" + hex.EncodeToString(h.Sum(nil))
}

func Hasher(algorithm string) hash.Hash {
	if algorithm == "sha512" {
		return sha512.New()
	}
	return sha256.New()
}

// Descriptor is a descriptor of the image specification.
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	URLs         []string          `json:"urls,omitempty"`
	Platform     map[string]string `json:"platform,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
}

// Source is a registry, and a record of what was pushed to it. Safe for concurrent use.
type Source struct {
	base   string // http://host:port/v2/
	prefix string // of repositories, with its slash
	Client *http.Client

	mu        sync.Mutex
	Blobs     map[string]int64  // sizes of all that was pushed; read it when all pushes are done
	where     map[string]string // a repository that has the blob
	pushed    map[string]bool   // repository@digest
	manifests int
	images    []Pushed
}

// New makes no request. prefix ends in a slash and comes before all names of repositories.
func New(addr, prefix string) *Source {
	return &Source{base: "http://" + addr + "/v2/", prefix: prefix, Client: &http.Client{Timeout: 5 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 8}},
		Blobs: map[string]int64{}, where: map[string]string{}, pushed: map[string]bool{}}
}

// Pushed is an image that clients pull by its tag.
type Pushed struct{ Repo, Tag, Digest string }

// Images returns the images that were filled in, by repository and tag.
func (s *Source) Images() []Pushed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.images)
}

// Unique returns the total size of all blobs.
func (s *Source) Unique() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, size := range s.Blobs {
		n += size
	}
	return n
}

// request sends one request and expects one of the statuses.
func (s *Source) request(method, address, mediaType string, body io.Reader, size int64, want ...int) (*http.Response, error) {
	req, err := http.NewRequest(method, address, body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = size
	if mediaType != "" {
		req.Header.Set("Content-Type", mediaType)
	}
	resp, err := s.Client.Do(req)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	for _, code := range want {
		if resp.StatusCode == code {
			return resp, nil
		}
	}
	return nil, fmt.Errorf("%s %s: %s: %s", method, address, resp.Status, text)
}

// Push puts a blob into a repository. If another repository has the blob, Push mounts it from there.
func (s *Source) Push(repo string, b Blob, mediaType string) (Descriptor, error) {
	d := Descriptor{MediaType: mediaType, Digest: b.Digest, Size: b.Size}
	repo = s.prefix + repo
	s.mu.Lock()
	s.Blobs[b.Digest] = b.Size
	there, from := s.pushed[repo+"@"+b.Digest], s.where[b.Digest]
	s.mu.Unlock()
	if there {
		return d, nil
	}
	begin := s.base + repo + "/blobs/uploads/"
	if from != "" && !strings.HasPrefix(b.Digest, "sha512:") { // distribution loses sha512 blobs when it mounts them
		begin += "?mount=" + url.QueryEscape(b.Digest) + "&from=" + url.QueryEscape(from)
	}
	resp, err := s.request(http.MethodPost, begin, "", nil, 0, http.StatusAccepted, http.StatusCreated)
	if err != nil {
		return d, err
	}
	if resp.StatusCode == http.StatusAccepted {
		at, err := resp.Location()
		if err != nil {
			return d, err
		}
		q := at.Query()
		q.Set("digest", b.Digest)
		at.RawQuery = q.Encode()
		if _, err := s.request(http.MethodPut, at.String(), "application/octet-stream", b.Open(), b.Size, http.StatusCreated); err != nil {
			return d, err
		}
	}
	s.mu.Lock()
	s.pushed[repo+"@"+b.Digest], s.where[b.Digest] = true, repo
	s.mu.Unlock()
	return d, nil
}

// Manifest pushes a manifest by a tag, or by its digest if ref is empty.
func (s *Source) Manifest(repo, ref, mediaType string, doc any) (Descriptor, error) {
	body, err := json.Marshal(doc)
	if err != nil {
		return Descriptor{}, err
	}
	d := Descriptor{MediaType: mediaType, Digest: DigestOf("sha256", bytes.NewReader(body)), Size: int64(len(body))}
	if ref == "" {
		ref = d.Digest
	}
	_, err = s.request(http.MethodPut, s.base+s.prefix+repo+"/manifests/"+ref, mediaType, bytes.NewReader(body), d.Size, http.StatusCreated)
	s.mu.Lock()
	s.manifests++
	s.mu.Unlock()
	return d, err
}

// Image pushes an image of layers. Its config is made from the seed.
func (s *Source) Image(repo, ref string, seed uint64, docker bool, layers ...Blob) (Descriptor, error) {
	types := [3]string{OCIManifest, ociConfig, ociLayer}
	if docker {
		types = [3]string{dockerManifest, dockerConfig, dockerLayer}
	}
	var diffs, history []string
	for _, l := range layers {
		diffs, history = append(diffs, strconv.Quote(l.Digest)), append(history, `{"created_by":"test"}`)
	}
	config, err := s.Push(repo, BytesBlob(fmt.Appendf(nil, `{"os":"linux","architecture":"amd64","config":{"Labels":{"seed":"%d"}},"rootfs":{"type":"layers","diff_ids":[%s]},"history":[%s]}`,
		seed, strings.Join(diffs, ","), strings.Join(history, ","))), types[1])
	if err != nil {
		return Descriptor{}, err
	}
	list := []Descriptor{}
	for _, l := range layers {
		d, err := s.Push(repo, l, types[2])
		if err != nil {
			return Descriptor{}, err
		}
		list = append(list, d)
	}
	return s.Manifest(repo, ref, types[0], map[string]any{"schemaVersion": 2, "mediaType": types[0], "config": config, "layers": list})
}

// Shape describes what a source is filled with.
type Shape struct {
	Images   int // tags that clients pull
	Repos    int
	Folder   string // of the repositories; default "library"
	Seed     uint64 // of all content
	Smallest int64  // sizes of layers are log-uniform between these two
	Largest  int64
	Big      []int64 // sizes of more layers, each in a different image
}

// Fill pushes images with shared layers, and everything that refers to them: indexes, artifacts, signatures, referrers.
func (s *Source) Fill(t testing.TB, p Shape) {
	t.Helper()
	rng := rand.New(rand.NewPCG(p.Seed, 7))
	size := func() int64 {
		return int64(float64(p.Smallest) * math.Pow(float64(p.Largest)/float64(p.Smallest), rng.Float64()))
	}
	next := p.Seed << 32
	fresh := func(size int64) Blob {
		next++
		algorithm := "sha256"
		if next%23 == 0 {
			algorithm = "sha512"
		}
		return NewBlob(next, size, algorithm)
	}
	bases := make([]Blob, max(1, p.Images/12))
	for i := range bases {
		bases[i] = fresh(size())
	}
	type job struct {
		repo, tag string
		n         int
		seed      uint64
		layers    []Blob
		extra     []Blob
	}
	jobs := make([]job, p.Images)
	for i := range jobs {
		next++
		j := job{repo: fmt.Sprintf("%s/app%02d", cmp.Or(p.Folder, "library"), i%p.Repos), tag: fmt.Sprintf("v%d", i), n: i, seed: next,
			layers: []Blob{bases[rng.IntN(len(bases))]}, extra: []Blob{fresh(size() / 2), fresh(size() / 4), fresh(700)}}
		for range 1 + rng.IntN(2) {
			j.layers = append(j.layers, fresh(size()))
		}
		if i < len(p.Big) {
			j.layers = append(j.layers, fresh(p.Big[i]))
		}
		jobs[i] = j
	}
	var g errgroup.Group
	g.SetLimit(4)
	for _, j := range jobs {
		g.Go(func() error { return s.pushJob(j.repo, j.tag, j.n, j.seed, j.layers, j.extra) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(s.images, func(a, b Pushed) int { return cmp.Or(strings.Compare(a.Repo, b.Repo), strings.Compare(a.Tag, b.Tag)) })
}

// pushJob pushes one image with all that belongs to it. The number n selects the kind of the image.
func (s *Source) pushJob(repo, tag string, n int, seed uint64, layers, extra []Blob) error {
	var image Descriptor
	var err error
	switch n % 5 {
	case 1, 4: // an index of two platforms that share a layer
		docker := n%5 == 4
		index := OCIIndex
		if docker {
			index = dockerList
		}
		var children []Descriptor
		for i, arch := range []string{"amd64", "arm64"} {
			list := layers
			if i > 0 {
				list = []Blob{layers[0], extra[0]}
			}
			child, err := s.Image(repo, "", seed+uint64(i)<<20, docker, list...)
			if err != nil {
				return err
			}
			child.Platform = map[string]string{"os": "linux", "architecture": arch}
			children = append(children, child)
		}
		image, err = s.Manifest(repo, tag, index, map[string]any{"schemaVersion": 2, "mediaType": index, "manifests": children})
	default:
		image, err = s.Image(repo, tag, seed, n%3 == 0, layers...)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.images = append(s.images, Pushed{Repo: repo, Tag: tag, Digest: image.Digest})
	s.mu.Unlock()
	if n%4 == 0 {
		if err := s.Signature(repo, image, seed, extra[2]); err != nil {
			return err
		}
	}
	if n%6 == 0 {
		if err := s.Referrer(repo, image, seed, extra[1]); err != nil {
			return err
		}
	}
	if n%10 == 3 {
		return s.artifact(repo, tag+"-chart", extra[1])
	}
	return nil
}

// Signature pushes what cosign writes: an image under a tag made from the digest.
func (s *Source) Signature(repo string, of Descriptor, seed uint64, payload Blob) error {
	layer, err := s.Push(repo, payload, simpleSigning)
	if err != nil {
		return err
	}
	config, err := s.Push(repo, BytesBlob(fmt.Appendf(nil, `{"signature":%d}`, seed)), ociConfig)
	if err != nil {
		return err
	}
	_, err = s.Manifest(repo, strings.Replace(of.Digest, ":", "-", 1)+".sig", OCIManifest,
		map[string]any{"schemaVersion": 2, "mediaType": OCIManifest, "config": config, "layers": []Descriptor{layer}})
	return err
}

// Referrer pushes a manifest with a subject. Clients find it by the fallback tag, because distribution has no referrers
// API.
func (s *Source) Referrer(repo string, of Descriptor, seed uint64, content Blob) error {
	layer, err := s.Push(repo, content, "application/spdx+json")
	if err != nil {
		return err
	}
	config, err := s.Push(repo, BytesBlob([]byte("{}")), emptyConfig)
	if err != nil {
		return err
	}
	of.Platform = nil
	d, err := s.Manifest(repo, "", OCIManifest, map[string]any{"schemaVersion": 2, "mediaType": OCIManifest,
		"artifactType": "application/vnd.example.sbom", "config": config, "layers": []Descriptor{layer}, "subject": of,
		"annotations": map[string]string{"seed": fmt.Sprint(seed)}})
	if err != nil {
		return err
	}
	d.ArtifactType = "application/vnd.example.sbom"
	_, err = s.Manifest(repo, strings.Replace(of.Digest, ":", "-", 1), OCIIndex,
		map[string]any{"schemaVersion": 2, "mediaType": OCIIndex, "manifests": []Descriptor{d}})
	return err
}

// artifact pushes a manifest of unknown media types.
func (s *Source) artifact(repo, tag string, content Blob) error {
	config, err := s.Push(repo, BytesBlob([]byte("{}")), emptyConfig)
	if err != nil {
		return err
	}
	layer, err := s.Push(repo, content, "application/vnd.example.unheard-of.v7")
	if err != nil {
		return err
	}
	_, err = s.Manifest(repo, tag, OCIManifest, map[string]any{"schemaVersion": 2, "mediaType": OCIManifest,
		"artifactType": "application/vnd.example.thing", "config": config, "layers": []Descriptor{layer}})
	return err
}
