package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
)

// program has what is special about the image of one program.
type program struct {
	title       string
	args        []string // arguments after the program's name, unless the user gives others
	ports       []string
	directories []string // for volumes, owned by the user
	authorities bool     // it makes TLS connections
	feeds       bool
	limit       int64 // most bytes of the layers of one platform
}

var known = map[string]program{
	"oci-proxy": {
		title: "Sends each image pull to the nearest and cheapest copy of the image", args: []string{"serve"},
		ports: []string{"8080/tcp"}, directories: []string{"var/cache/oci-proxy/"}, authorities: true, feeds: true, limit: 25 << 20,
	},
	"oci-proxyctl": {
		title:       "Operates the stores of oci-proxy: mirror, audit, promote",
		directories: []string{"var/cache/oci-proxy/"}, authorities: true, limit: 60 << 20,
	},
	"oci-proxy-demo": {
		title: "Registries, stores in several clouds and oci-proxy, to try things on", args: []string{"--published"},
		ports: []string{"5050/tcp"}, limit: 25 << 20,
	},
	"oci-doctor": {
		title: "Says why pulls from a registry fail here", authorities: true, limit: 10 << 20,
	},
}

// built is the index of a program, with everything that it refers to.
type built struct {
	program string
	index   blob
	images  []image
}

type image struct {
	platform         oci.Platform
	manifest, config blob
	layers           []layer
}

// size returns how many bytes a client downloads.
func (m *image) size() (total int64) {
	for _, l := range m.layers {
		total += l.Size
	}
	return total
}

func bytesText(n int64) string { return humanize.IBytes(uint64(max(0, n))) }

func (b *built) summary() string {
	parts := []string{b.index.Digest.String()}
	for _, m := range b.images {
		parts = append(parts, fmt.Sprintf("%s/%s %s", m.platform.OS, m.platform.Architecture, bytesText(m.size())))
	}
	return strings.Join(parts, ", ")
}

// build makes the index of each program.
func (opt *options) build(programs []string) ([]*built, error) {
	if len(programs) == 0 {
		return nil, fmt.Errorf("no programs")
	}
	var all []*built
	for _, name := range programs {
		p, ok := known[name]
		if !ok {
			return nil, fmt.Errorf("program %q: want oci-proxy, oci-proxyctl, oci-proxy-demo or oci-doctor", name)
		}
		b, err := opt.one(name, p)
		if err != nil {
			return nil, fmt.Errorf("image of %s: %w", name, err)
		}
		all = append(all, b)
	}
	return all, nil
}

func (opt *options) one(name string, p program) (*built, error) {
	out := &built{program: name}
	index := oci.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageIndex}
	for _, platform := range strings.Fields(opt.platforms) {
		bin, err := readBinary(opt.binaries, platform, name)
		if err != nil {
			return nil, err
		}
		layers, labels, err := opt.layers(name, p, bin)
		if err != nil {
			return nil, err
		}
		m, err := newImage(platform, name, p, opt.at, layers, labels)
		if err != nil {
			return nil, err
		}
		if m.size() > p.limit {
			return nil, fmt.Errorf("%s: %s, more than %s", platform, bytesText(m.size()), bytesText(p.limit))
		}
		out.images = append(out.images, m)
		is := m.manifest.Descriptor
		is.Platform = &m.platform
		index.Manifests, index.Annotations = append(index.Manifests, is), labels
	}
	if len(out.images) == 0 {
		return nil, fmt.Errorf("no platforms")
	}
	var err error
	out.index, err = document(oci.MediaTypeImageIndex, index)
	return out, err
}

// layers returns the layers of one platform. Layers that change least come first, so that clients often have them
// already.
func (opt *options) layers(name string, p program, bin []byte) (list []layer, labels map[string]string, err error) {
	labels = map[string]string{
		oci.AnnotationTitle: name, oci.AnnotationDescription: p.title, oci.AnnotationLicenses: "Apache-2.0",
		oci.AnnotationCreated: opt.at.Format(time.RFC3339),
	}
	for key, value := range map[string]string{
		oci.AnnotationVersion: opt.version, oci.AnnotationRevision: opt.revision, oci.AnnotationSource: opt.source,
	} {
		if value != "" {
			labels[key] = value
		}
	}
	add := func(what string, files ...file) {
		if err == nil {
			var l layer
			l, err = newLayer(what, opt.at, files...)
			list = append(list, l)
		}
	}
	files, err := base(opt.license, opt.at)
	if err != nil {
		return nil, nil, err
	}
	if p.authorities {
		files = append(files, certificates(opt.at))
	}
	for _, dir := range p.directories {
		files = append(files, file{name: dir, mode: 0o755, own: true, at: opt.at})
	}
	add("user, certificate authorities, directories", files...)
	if p.feeds {
		seed, err := opt.seeded(opt.at)
		if err != nil {
			return nil, nil, err
		}
		if len(seed.files) > 0 {
			add("feeds", seed.files...)
		}
		maps.Copy(labels, seed.labels)
	}
	add(name, file{name: "usr/local/bin/" + name, mode: 0o755, at: opt.at, data: bin})
	return list, labels, err
}

// noSeed is the value of -seed for an image without feeds.
const noSeed = "none"

func (opt *options) seeded(at time.Time) (feeds, error) {
	switch opt.seed {
	case "":
		return feeds{}, fmt.Errorf("which feeds? -seed DIR, or -seed none for an image without")
	case noSeed:
		fmt.Fprintln(os.Stderr,
			"image: warning: without feeds, a server that cannot fetch them knows the cloud of no client")
		return feeds{}, nil
	}
	return readSeed(opt.seed, at)
}

func newImage(
	platform, name string, p program, at time.Time, layers []layer, labels map[string]string,
) (image, error) {
	system, architecture, _ := strings.Cut(platform, "/")
	m := image{platform: oci.Platform{OS: system, Architecture: architecture}, layers: layers}
	config := oci.Image{
		Created: &at, Platform: m.platform,
		Config: oci.ImageConfig{
			User: fmt.Sprintf("%[1]d:%[1]d", user), Entrypoint: []string{"/usr/local/bin/" + name}, Cmd: p.args,
			Env: []string{"PATH=/usr/local/bin", "HOME=/home/nonroot"}, WorkingDir: "/", Labels: labels,
			StopSignal: "SIGTERM",
		},
		RootFS: oci.RootFS{Type: "layers", DiffIDs: []digest.Digest{}},
	}
	if labels["oci-proxy.feeds.fetched"] != "" {
		config.Config.Env = append(config.Config.Env, "OCI_PROXY_SEED=/"+seedDir)
	}
	for _, port := range p.ports {
		if config.Config.ExposedPorts == nil {
			config.Config.ExposedPorts = map[string]struct{}{}
		}
		config.Config.ExposedPorts[port] = struct{}{}
	}
	manifest := oci.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageManifest, Annotations: labels,
	}
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.diff)
		config.History = append(config.History, oci.History{Created: &at, CreatedBy: "scripts/image", Comment: l.what})
		manifest.Layers = append(manifest.Layers, l.Descriptor)
	}
	var err error
	if m.config, err = document(oci.MediaTypeImageConfig, config); err != nil {
		return image{}, err
	}
	manifest.Config = m.config.Descriptor
	m.manifest, err = document(oci.MediaTypeImageManifest, manifest)
	return m, err
}

func document(mediaType string, v any) (blob, error) {
	text, err := json.Marshal(v)
	return newBlob(mediaType, text), err
}
