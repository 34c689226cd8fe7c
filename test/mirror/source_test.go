package mirror

import (
	"bytes"
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
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// Media types of what is pushed.
const (
	ociManifest    = "application/vnd.oci.image.manifest.v1+json"
	ociIndex       = "application/vnd.oci.image.index.v1+json"
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

// blob is content that can be made again from its seed.
type blob struct {
	Digest string
	Size   int64
	open   func() io.Reader
}

// newBlob makes size random bytes. With sha512 its digest is one of that kind.
func newBlob(seed uint64, size int64, algorithm string) blob {
	b := blob{Size: size, open: func() io.Reader {
		var key [32]byte
		for i := range 8 {
			key[i] = byte(seed >> (8 * i))
		}
		return io.LimitReader(rand.NewChaCha8(key), size)
	}}
	b.Digest = digestOf(algorithm, b.open())
	return b
}

// bytesBlob is a blob of given content.
func bytesBlob(text []byte) blob {
	return blob{Digest: digestOf("sha256", bytes.NewReader(text)), Size: int64(len(text)),
		open: func() io.Reader { return bytes.NewReader(text) }}
}

func digestOf(algorithm string, r io.Reader) string {
	h := hasher(algorithm)
	if _, err := io.Copy(h, r); err != nil {
		panic(err) // of a hash and a generator
	}
	return algorithm + ":" + hex.EncodeToString(h.Sum(nil))
}

func hasher(algorithm string) hash.Hash {
	if algorithm == "sha512" {
		return sha512.New()
	}
	return sha256.New()
}

// descriptor is one of the image specification.
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	URLs         []string          `json:"urls,omitempty"`
	Platform     map[string]string `json:"platform,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
}

// source is a registry with what was pushed into it. Safe for concurrent use.
type source struct {
	base   string // http://host:port/v2/
	prefix string // of repositories, with its slash
	client *http.Client

	mu        sync.Mutex
	blobs     map[string]int64  // all that the stores must have in the end
	where     map[string]string // a repository that has the blob
	pushed    map[string]bool   // repository and blob
	manifests int
	images    int // by tag
}

func newSource(addr, prefix string) *source {
	return &source{base: "http://" + addr + "/v2/", prefix: prefix, client: &http.Client{Timeout: 5 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 8}},
		blobs: map[string]int64{}, where: map[string]string{}, pushed: map[string]bool{}}
}

// unique adds up the blobs.
func (s *source) unique() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, size := range s.blobs {
		n += size
	}
	return n
}

// request sends one request and wants one of the statuses.
func (s *source) request(method, address, mediaType string, body io.Reader, size int64, want ...int) (*http.Response, error) {
	req, err := http.NewRequest(method, address, body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = size
	if mediaType != "" {
		req.Header.Set("Content-Type", mediaType)
	}
	resp, err := s.client.Do(req)
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

// push brings a blob into a repository, by mounting where another has it.
func (s *source) push(repo string, b blob, mediaType string) (descriptor, error) {
	d := descriptor{MediaType: mediaType, Digest: b.Digest, Size: b.Size}
	repo = s.prefix + repo
	s.mu.Lock()
	s.blobs[b.Digest] = b.Size
	there, from := s.pushed[repo+"@"+b.Digest], s.where[b.Digest]
	s.mu.Unlock()
	if there {
		return d, nil
	}
	begin := s.base + repo + "/blobs/uploads/"
	if from != "" && !strings.HasPrefix(b.Digest, "sha512:") { // distribution loses those when it mounts them
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
		if _, err := s.request(http.MethodPut, at.String(), "application/octet-stream", b.open(), b.Size, http.StatusCreated); err != nil {
			return d, err
		}
	}
	s.mu.Lock()
	s.pushed[repo+"@"+b.Digest], s.where[b.Digest] = true, repo
	s.mu.Unlock()
	return d, nil
}

// manifest pushes a manifest by a tag, or by its digest when ref is empty.
func (s *source) manifest(repo, ref, mediaType string, doc any) (descriptor, error) {
	body, err := json.Marshal(doc)
	if err != nil {
		return descriptor{}, err
	}
	d := descriptor{MediaType: mediaType, Digest: digestOf("sha256", bytes.NewReader(body)), Size: int64(len(body))}
	if ref == "" {
		ref = d.Digest
	}
	_, err = s.request(http.MethodPut, s.base+s.prefix+repo+"/manifests/"+ref, mediaType, bytes.NewReader(body), d.Size, http.StatusCreated)
	s.mu.Lock()
	s.manifests++
	s.mu.Unlock()
	return d, err
}

// image pushes an image of layers; its config is made of the seed.
func (s *source) image(repo, ref string, seed uint64, docker bool, layers ...blob) (descriptor, error) {
	types := [3]string{ociManifest, ociConfig, ociLayer}
	if docker {
		types = [3]string{dockerManifest, dockerConfig, dockerLayer}
	}
	var diffs, history []string
	for _, l := range layers {
		diffs, history = append(diffs, strconv.Quote(l.Digest)), append(history, `{"created_by":"test"}`)
	}
	config, err := s.push(repo, bytesBlob(fmt.Appendf(nil, `{"os":"linux","architecture":"amd64","config":{"Labels":{"seed":"%d"}},"rootfs":{"type":"layers","diff_ids":[%s]},"history":[%s]}`,
		seed, strings.Join(diffs, ","), strings.Join(history, ","))), types[1])
	if err != nil {
		return descriptor{}, err
	}
	list := []descriptor{}
	for _, l := range layers {
		d, err := s.push(repo, l, types[2])
		if err != nil {
			return descriptor{}, err
		}
		list = append(list, d)
	}
	return s.manifest(repo, ref, types[0], map[string]any{"schemaVersion": 2, "mediaType": types[0], "config": config, "layers": list})
}

// shape is what a source is filled with.
type shape struct {
	images   int    // tags that people pull
	repos    int    //
	seed     uint64 // of all content
	smallest int64  // layers are of log-uniform sizes between these
	largest  int64
	big      []int64 // and these, one in one image each
}

// fill pushes images with shared layers, and everything that refers to them: indexes, artifacts, signatures, referrers.
func (s *source) fill(t testing.TB, p shape) {
	t.Helper()
	rng := rand.New(rand.NewPCG(p.seed, 7))
	size := func() int64 {
		return int64(float64(p.smallest) * math.Pow(float64(p.largest)/float64(p.smallest), rng.Float64()))
	}
	next := p.seed << 32
	fresh := func(size int64) blob {
		next++
		algorithm := "sha256"
		if next%23 == 0 {
			algorithm = "sha512"
		}
		return newBlob(next, size, algorithm)
	}
	bases := make([]blob, max(1, p.images/12))
	for i := range bases {
		bases[i] = fresh(size())
	}
	type job struct {
		repo, tag string
		n         int
		seed      uint64
		layers    []blob
		extra     []blob
	}
	jobs := make([]job, p.images)
	for i := range jobs {
		next++
		j := job{repo: fmt.Sprintf("library/app%02d", i%p.repos), tag: fmt.Sprintf("v%d", i), n: i, seed: next,
			layers: []blob{bases[rng.IntN(len(bases))]}, extra: []blob{fresh(size() / 2), fresh(size() / 4), fresh(700)}}
		for range 1 + rng.IntN(2) {
			j.layers = append(j.layers, fresh(size()))
		}
		if i < len(p.big) {
			j.layers = append(j.layers, fresh(p.big[i]))
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
	s.images += p.images
}

// pushJob pushes one image with all that belongs to it. Which kind it is, its number says.
func (s *source) pushJob(repo, tag string, n int, seed uint64, layers, extra []blob) error {
	var image descriptor
	var err error
	switch n % 5 {
	case 1, 4: // an index of two platforms, which share a layer
		docker := n%5 == 4
		index := ociIndex
		if docker {
			index = dockerList
		}
		var children []descriptor
		for i, arch := range []string{"amd64", "arm64"} {
			list := layers
			if i > 0 {
				list = []blob{layers[0], extra[0]}
			}
			child, err := s.image(repo, "", seed+uint64(i)<<20, docker, list...)
			if err != nil {
				return err
			}
			child.Platform = map[string]string{"os": "linux", "architecture": arch}
			children = append(children, child)
		}
		image, err = s.manifest(repo, tag, index, map[string]any{"schemaVersion": 2, "mediaType": index, "manifests": children})
	default:
		image, err = s.image(repo, tag, seed, n%3 == 0, layers...)
	}
	if err != nil {
		return err
	}
	if n%4 == 0 {
		if err := s.signature(repo, image, seed, extra[2]); err != nil {
			return err
		}
	}
	if n%6 == 0 {
		if err := s.referrer(repo, image, seed, extra[1]); err != nil {
			return err
		}
	}
	if n%10 == 3 {
		return s.artifact(repo, tag+"-chart", extra[1])
	}
	return nil
}

// signature is what cosign writes: an image under a tag made of the digest.
func (s *source) signature(repo string, of descriptor, seed uint64, payload blob) error {
	layer, err := s.push(repo, payload, simpleSigning)
	if err != nil {
		return err
	}
	config, err := s.push(repo, bytesBlob(fmt.Appendf(nil, `{"signature":%d}`, seed)), ociConfig)
	if err != nil {
		return err
	}
	_, err = s.manifest(repo, strings.Replace(of.Digest, ":", "-", 1)+".sig", ociManifest,
		map[string]any{"schemaVersion": 2, "mediaType": ociManifest, "config": config, "layers": []descriptor{layer}})
	return err
}

// referrer is a manifest with a subject, found by the fallback tag: distribution has no referrers API.
func (s *source) referrer(repo string, of descriptor, seed uint64, content blob) error {
	layer, err := s.push(repo, content, "application/spdx+json")
	if err != nil {
		return err
	}
	config, err := s.push(repo, bytesBlob([]byte("{}")), emptyConfig)
	if err != nil {
		return err
	}
	of.Platform = nil
	d, err := s.manifest(repo, "", ociManifest, map[string]any{"schemaVersion": 2, "mediaType": ociManifest,
		"artifactType": "application/vnd.example.sbom", "config": config, "layers": []descriptor{layer}, "subject": of,
		"annotations": map[string]string{"seed": fmt.Sprint(seed)}})
	if err != nil {
		return err
	}
	d.ArtifactType = "application/vnd.example.sbom"
	_, err = s.manifest(repo, strings.Replace(of.Digest, ":", "-", 1), ociIndex,
		map[string]any{"schemaVersion": 2, "mediaType": ociIndex, "manifests": []descriptor{d}})
	return err
}

// artifact is a manifest of media types that nobody has heard of.
func (s *source) artifact(repo, tag string, content blob) error {
	config, err := s.push(repo, bytesBlob([]byte("{}")), emptyConfig)
	if err != nil {
		return err
	}
	layer, err := s.push(repo, content, "application/vnd.example.unheard-of.v7")
	if err != nil {
		return err
	}
	_, err = s.manifest(repo, tag, ociManifest, map[string]any{"schemaVersion": 2, "mediaType": ociManifest,
		"artifactType": "application/vnd.example.thing", "config": config, "layers": []descriptor{layer}})
	return err
}
