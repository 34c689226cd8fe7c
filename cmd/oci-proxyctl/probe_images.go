package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/manifest"
	"ociproxy/internal/probe"
)

// probeImages returns the images to request, without host. Some may have no tag yet. The note says which ones they are,
// if they are a choice.
func (a *app) probeImages(name string, f *probeFlags, cfg *config.Config) (images []judge.Ref, note string, err error) {
	for _, text := range f.images {
		ref, err := judge.ParseRef(text)
		if err != nil {
			return nil, "", cli.Usage("for example --image pause:3.9", "%w", err)
		}
		images = append(images, ref)
	}
	from := "the manifests in " + f.promoted
	var all []judge.Ref
	switch {
	case f.promoted != "":
		if all, err = promotedImages(f.promoted, name, cfg); err != nil {
			return nil, "", err
		}
	case len(images) == 0 && cfg != nil:
		from = "mirror.repositories.list of the config"
		for _, repository := range cfg.Mirror.Repositories.List {
			all = append(all, judge.Ref{Name: repository})
		}
	}
	chosen := spreadOver(all, f.maxImages)
	if len(chosen) > 0 {
		note = fmt.Sprintf("%d of %s of %s", len(chosen), cli.Count(int64(len(all)), "image"), from)
	}
	if images = append(images, chosen...); len(images) == 0 {
		return nil, "", cli.Usage("name one with --image, or give --promoted, or a config with mirror.repositories.list", "there is no image to ask for")
	}
	return images, note, nil
}

// spreadOver returns n elements that lie evenly in the list, the same ones each time; n = 0: all.
func spreadOver[T any](list []T, n int) []T {
	if n == 0 || len(list) <= n {
		return list
	}
	out := make([]T, n)
	for i := range out {
		out[i] = list[i*len(list)/n]
	}
	return out
}

// promotedImages returns the images that manifests promote to what is behind a name, as clients of that name call them.
func promotedImages(path, name string, cfg *config.Config) ([]judge.Ref, error) {
	tree, err := manifest.Load(path)
	if tree, err = tree.Hold(err, false); err != nil {
		return nil, invalidManifests(err)
	}
	behind := []string{name}
	if cfg != nil {
		for i := range cfg.Upstreams {
			if u, err := url.Parse(cfg.Upstreams[i].URL); err == nil {
				behind = append(behind, strings.TrimSuffix(u.Host+"/"+strings.Trim(cfg.Upstreams[i].Prefix, "/"), "/"))
			}
		}
	}
	var out []judge.Ref
	for project, image := range tree.Images() {
		for _, destination := range project.Destinations {
			repository, ok := below(destination.Repository(image.Name), behind)
			if !ok {
				continue
			}
			for _, p := range image.Digests {
				ref := judge.Ref{Name: repository, Digest: p.Digest}
				if len(p.Tags) > 0 { // clients ask for tags
					ref = judge.Ref{Name: repository, Tag: p.Tags[0].Name}
				}
				out = append(out, ref)
			}
		}
	}
	slices.SortFunc(out, func(a, b judge.Ref) int { return strings.Compare(a.String(), b.String()) })
	out = slices.Compact(out)
	if len(out) == 0 {
		return nil, cli.Usage("destinations must begin with "+name+", or with the url and prefix of an upstream in --config",
			"the manifests in %s promote nothing to what is behind %s", path, name)
	}
	return out, nil
}

// below returns the rest of a repository's name behind one of the beginnings, the longest first.
func below(repository string, beginnings []string) (rest string, ok bool) {
	for _, b := range beginnings {
		if after, found := strings.CutPrefix(repository, b+"/"); found && (!ok || len(after) < len(rest)) {
			rest, ok = after, true
		}
	}
	return rest, ok
}

// withTags gives images without a tag one of their repository.
func (a *app) withTags(ctx context.Context, opt probe.Options) ([]judge.Ref, error) {
	images, faults, err := probe.WithTags(ctx, opt)
	if err != nil {
		return nil, err
	}
	for i := range images {
		if images[i].Tag != "" || !images[i].Digest.IsZero() {
			continue
		}
		images[i].Tag = "latest"
		if why, failed := faults[images[i].Name]; failed {
			fmt.Fprintf(a.stderr, "warning: the tags of %s are not known, so the tag latest is asked for: %s\n", images[i].Name, cli.OneLine(why))
		}
	}
	return images, nil
}
