package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
)

// blob is a blob of the source.
type blob struct {
	digest     oci.Digest
	size       int64
	repository string
}

// source is the registry, and what fill has pushed to it.
type source struct {
	*registry.Registry
	dir   string // for one layer at a time
	blobs []blob // what a mirror must copy, each blob once
	count int    // of manifests
}

// layer pushes size incompressible bytes. The same seed makes the same bytes.
func (s *source) layer(ctx context.Context, repository string, seed uint64, size int64) (blob, error) {
	file, err := os.Create(filepath.Join(s.dir, "layer"))
	if err != nil {
		return blob{}, err
	}
	defer file.Close()
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	h := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(file, h), rand.NewChaCha8(key), size); err != nil {
		return blob{}, err
	}
	return s.push(ctx, repository, hex.EncodeToString(h.Sum(nil)), size, file)
}

func (s *source) push(ctx context.Context, repository, sum string, size int64, content io.ReaderAt) (blob, error) {
	d, err := oci.ParseDigest("sha256:" + sum)
	if err != nil {
		return blob{}, err
	}
	b := blob{digest: d, size: size, repository: repository}
	s.blobs = append(s.blobs, b)
	return b, s.PushBlob(ctx, repository, d, size, content)
}

// image pushes an image of layers that the registry has already.
func (s *source) image(ctx context.Context, repository, tag string, layers []blob) error {
	config := fmt.Sprintf(`{"architecture":"amd64","os":"linux","config":{"Labels":{"name":%q}},"rootfs":{"type":"layers","diff_ids":[]}}`, repository+":"+tag)
	sum := sha256.Sum256([]byte(config))
	c, err := s.push(ctx, repository, hex.EncodeToString(sum[:]), int64(len(config)), strings.NewReader(config))
	if err != nil {
		return err
	}
	m := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: digest.Digest(c.digest.String()), Size: c.size}}
	for _, l := range layers {
		if l.repository != repository {
			if _, err := s.Mount(ctx, repository, l.digest, l.repository); err != nil {
				return err
			}
		}
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: v1.MediaTypeImageLayerGzip, Digest: digest.Digest(l.digest.String()), Size: l.size})
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	parsed, err := registry.ParseManifest(raw, v1.MediaTypeImageManifest)
	if err != nil {
		return err
	}
	s.count++
	_, err = s.PutManifest(ctx, repository, tag, parsed, registry.PutOptions{})
	return err
}

// fill pushes images whose unique layers have total bytes. Each image has four layers of its own and one that it shares
// with nine others. Sizes are distributed like those of real layers.
func (s *source) fill(ctx context.Context, images int, total int64) (repositories []string, err error) {
	const own, sharing, repos = 4, 10, 20
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same images in every run
	weights, sum := make([]float64, images*own+(images+sharing-1)/sharing), 0.0
	for i := range weights {
		weights[i] = r.ExpFloat64() + 0.02
		sum += weights[i]
	}
	for i := range repos {
		repositories = append(repositories, fmt.Sprintf("team/app-%d", i))
	}
	var shared blob
	for i := range images {
		repository := repositories[i%repos]
		next := func(n int) (blob, error) {
			return s.layer(ctx, repository, uint64(n), int64(weights[n]/sum*float64(total)))
		}
		if i%sharing == 0 {
			if shared, err = next(images*own + i/sharing); err != nil {
				return nil, err
			}
		}
		layers := []blob{shared}
		for n := range own {
			l, err := next(i*own + n)
			if err != nil {
				return nil, err
			}
			layers = append(layers, l)
		}
		if err := s.image(ctx, repository, fmt.Sprintf("v%d", i/repos), layers); err != nil {
			return nil, err
		}
	}
	return repositories, nil
}
