package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ociproxy/bench/figures"
	"ociproxy/internal/config"
	"ociproxy/internal/manifest"
	"ociproxy/internal/promote"
	"ociproxy/internal/promote/apply"
)

const (
	mountTo = 40 // destinations on one host
	arches  = 4
	layers  = 2 // of each architecture alone; all architectures share one more
)

// Parts of the image that a destination needs.
const (
	imageBlobs     = arches*(layers+1) + 1 // with one config per architecture
	imageManifests = arches + 1            // with the index
)

// requests counts what a promotion asks registries for. It promotes one image of four architectures to forty
// repositories of one host: with its first tag, with its second tag, and once more when everything is in place. The
// registries are HTTP servers in this process.
func requests(ctx context.Context, dir string) ([]figures.Figure, error) {
	var all []figures.Figure
	add := func(name string, value float64) {
		all = append(all, figures.Figure{Name: name, Value: value, Unit: "1"})
	}
	for _, kind := range []struct {
		name   string
		google bool
	}{{"promote.mount40", false}, {"promote.mount40_google", true}} {
		source, host := newServer(kind.google), newServer(kind.google)
		defer source.Close()
		defer host.Close()
		digest := source.image("staging/app")
		b := &requestBench{dir: filepath.Join(dir, kind.name), source: source, host: host, digest: digest}
		for _, tags := range []struct {
			name string
			list string
			// least is the number of requests that the host needs in any case: each repository is listed once, each
			// blob comes to the host once (POST, PUT) and is mounted everywhere else, and each manifest is put. checked
			// is what the order of steps adds: manifests are put by digest before the tag is put, and read back; a tag
			// is read before it is put, and read back.
			least, checked int
		}{
			{"first", "v1", mountTo + 2*imageBlobs + (mountTo-1)*imageBlobs + mountTo*imageManifests, mountTo + mountTo*imageManifests + 2*mountTo},
			{"second", "v1, v1-stable", 2 * mountTo, 2 * mountTo},
		} {
			got, err := b.promote(ctx, tags.list)
			if err != nil {
				return nil, fmt.Errorf("%s tag: %w", tags.name, err)
			}
			name := kind.name + "." + tags.name
			add(name+".requests", float64(total(got)))
			add(name+".least", float64(tags.least))
			add(name+".least_checked", float64(tags.least+tags.checked))
			for _, k := range slices.Sorted(maps.Keys(got)) {
				fmt.Fprintf(os.Stderr, "%s: %d %s\n", name, got[k], k)
			}
			fmt.Fprintf(os.Stderr, "%s: source: %v\n", name, source.take())
		}
		got, err := b.promote(ctx, "v1, v1-stable")
		if err != nil {
			return nil, err
		}
		name := strings.Replace(kind.name, "mount40", "nothing", 1)
		fmt.Fprintf(os.Stderr, "%s: %v, source: %v\n", name, got, source.take())
		add(name+".requests", float64(total(got)))
		add(name+".repositories", mountTo)
		add(name+".requests_over_repositories", float64(total(got))/mountTo)
	}
	return all, nil
}

func total(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

type requestBench struct {
	dir          string
	source, host *server
	digest       string
}

// promote plans and applies a tree, and returns the requests that the host received.
func (b *requestBench) promote(ctx context.Context, tags string) (map[string]int, error) {
	if err := b.write(tags); err != nil {
		return nil, err
	}
	tree, err := manifest.Load(b.dir)
	if err != nil {
		return nil, err
	}
	registries := promote.NewRegistries(promote.Access{Rate: 1e6})
	defer registries.Close()
	var plan bytes.Buffer
	file := promote.NewWriter(&plan, promote.Header{Made: time.Now(), Manifests: b.dir, Hash: tree.Hash})
	sum, err := promote.Make(ctx, tree, registries, promote.Options{}, file.Add)
	if err == nil {
		err = file.Close(sum)
	}
	if err != nil {
		return nil, err
	}
	read, err := apply.ReadPlan(io.NewSectionReader(bytes.NewReader(plan.Bytes()), 0, int64(plan.Len())))
	if err != nil {
		return nil, err
	}
	cfg := new(config.Config)
	cfg.Mirror.Spool.Dir = b.dir + "-spool"
	none := time.Duration(0)
	run, err := apply.Open(ctx, read, apply.Options{Registries: registries, Config: cfg, Settle: &none, Fresh: true})
	if err != nil {
		return nil, err
	}
	report, err := run.Apply(ctx)
	if e := run.Close(ctx); err == nil {
		err = e
	}
	if err == nil && report.Failed > 0 {
		err = fmt.Errorf("%d of %d failed: %v", report.Failed, report.Edges, report.Failures[0])
	}
	return b.host.take(), err
}

func (b *requestBench) write(tags string) error {
	text := fmt.Sprintf("registries:\n- name: %s/staging\n  src: true\n", b.source.host())
	for i := range mountTo {
		text += fmt.Sprintf("- name: %s/images/to%02d\n", b.host.host(), i)
	}
	for file, text := range map[string]string{
		"manifests/bench/promoter-manifest.yaml": text,
		"images/bench/images.yaml":               fmt.Sprintf("- name: app\n  dmap:\n    %q: [%s]\n", b.digest, tags),
	} {
		file = filepath.Join(b.dir, file)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// image adds an image to the server directly.
func (s *server) image(repo string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	const prefix = "application/vnd.oci.image."
	blob := func(mediaType, text string) map[string]any {
		d := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text)))
		s.put(repo, d, []byte(text))
		return map[string]any{"mediaType": prefix + mediaType, "digest": d, "size": len(text)}
	}
	push := func(ref, mediaType string, doc map[string]any) map[string]any {
		doc["schemaVersion"], doc["mediaType"] = 2, prefix+mediaType
		raw, err := json.Marshal(doc)
		if err != nil {
			panic(err) // cannot happen: maps always marshal
		}
		d := s.putManifest(repo, ref, prefix+mediaType, raw)
		return map[string]any{"mediaType": prefix + mediaType, "digest": d, "size": len(raw)}
	}
	var children []any
	for arch := range arches {
		all := []any{blob("layer.v1.tar", "shared")}
		for l := range layers {
			all = append(all, blob("layer.v1.tar", fmt.Sprintf("layer %d of %d", l, arch)))
		}
		child := push(fmt.Sprintf("build-%d", arch), "manifest.v1+json",
			map[string]any{"config": blob("config.v1+json", fmt.Sprintf(`{"architecture":"%d"}`, arch)), "layers": all})
		children = append(children, child)
	}
	index := push("build", "index.v1+json", map[string]any{"manifests": children})
	return index["digest"].(string)
}
