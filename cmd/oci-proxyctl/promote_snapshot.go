package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/manifest"
	"ociproxy/internal/oci"
	"ociproxy/internal/promote/prove"
	"ociproxy/internal/registry"
)

// yamlFormat is the output format of a snapshot. Its text form is YAML, so the former name "yaml" is still accepted.
type yamlFormat struct{ *cli.Format }

func (f yamlFormat) Set(text string) error {
	if text == "yaml" {
		text = string(cli.Text)
	}
	return f.Format.Set(text)
}

func (a *app) promoteSnapshot() *cobra.Command {
	var access registryFlags
	var opt prove.SnapOptions
	cmd := &cobra.Command{
		Use:   "snapshot REGISTRY[/PREFIX]",
		Short: "Write the images of a registry as a manifest",
		Long: `snapshot reads what is below REGISTRY/PREFIX and writes it in the format of images.yaml: images by
name, and digests with their tags. It writes YAML or, with --output json, JSON. The layout is that
of promote fmt. As long as the registry does not change, the result is the same each time.

The registry must list its repositories, by Google's listing or by _catalog. If it does not list
digests, snapshot asks for each tag. With --untagged it also writes manifests without a tag, among
them the platforms of an index, if the registry lists them (Google's registries do). It warns of a
repository that has digests but no tag, and of a tag that is not valid. It is an error if nothing is
there.`,
		Example: `  oci-proxyctl promote snapshot us-central1-docker.pkg.dev/project/images > images.yaml
  oci-proxyctl promote snapshot registry.example.org/prod --untagged -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runPromoteSnapshot(cmd.Context(), strings.TrimSuffix(args[0], "/"), &access, opt)
		},
	}
	cli.OutputFlag(cmd, &a.format)
	cmd.Flags().Lookup("output").Value = yamlFormat{&a.format}
	cmd.Flags().BoolVar(&opt.Untagged, "untagged", false, "also write manifests without a tag")
	access.flags(cmd)
	snapshotExits(cmd)
	return cmd
}

func (a *app) runPromoteSnapshot(ctx context.Context, root string, access *registryFlags, opt prove.SnapOptions) error {
	if !manifest.ValidRegistry(root) {
		return cli.Usage("HOST[:PORT][/PATH], without a scheme", "%q is no registry", root)
	}
	regs := access.open(a)
	defer regs.Close()
	out := bufio.NewWriter(a.stdout)
	write, end := snapYAML(out)
	if a.format == cli.JSON {
		write, end = snapJSON(out)
	}
	untold, images := false, 0
	var bare []string     // repositories without tags, in a registry that lists nothing else
	var unusable []string // names that are not valid
	var left []string     // repositories, each with the invalid names, tags or digests in it
	err := prove.Snapshot(ctx, regs, root, opt, func(s *prove.Snap) error {
		if s.Left.Count > 0 {
			left = append(left, s.Name+": "+s.Left.String())
		}
		switch untold = untold || opt.Untagged && !s.Untagged; {
		case s.Unusable:
			unusable = append(unusable, strconv.Quote(s.Name))
		case len(s.Digests) > 0:
			images++
			return write(s)
		case !s.Untagged:
			bare = append(bare, s.Name)
		}
		return nil
	})
	writeIdle(idleHosts(access.plainHTTP, regs.Requests()), a.stderr)
	switch {
	case errors.Is(err, registry.ErrNoCatalog):
		return cli.Fail("a registry that lists no repositories cannot be written down", "%w", err)
	case errors.Is(err, prove.ErrNothing):
		return cli.Fail("name the host and the path above the repositories, as in manifests: "+aboveOf(root), "%w", err)
	case err != nil:
		return err
	}
	if len(unusable) > 0 {
		fmt.Fprintf(a.stderr, "warning: the registry lists invalid names; the snapshot leaves them out: %s\n", someOf(unusable))
	}
	if len(left) > 0 {
		fmt.Fprintf(a.stderr, "warning: the registry lists names, tags or digests that are not valid; they are not in the snapshot: %s\n",
			someOf(left))
	}
	if len(bare) > 0 {
		fmt.Fprintf(a.stderr, "warning: %s without a tag: what they hold by digest only is not listed, and not in the snapshot: %s\n",
			cli.Count(int64(len(bare)), "repository"), someOf(bare))
	}
	if images == 0 {
		return cli.Fail("what has no tag can be written down by its digest only, by hand", "snapshot of %s: no repository there has a tag", root)
	}
	if untold {
		fmt.Fprintf(a.stderr, "warning: %s does not list manifests without a tag: there may be more\n", root)
	}
	return errors.Join(end(), out.Flush())
}

// aboveOf returns the path above the last part of a registry's name, or the name itself if it has only one part.
func aboveOf(root string) string {
	if at := strings.LastIndexByte(root, '/'); at > 0 {
		return root[:at]
	}
	return root
}

// snapYAML writes images in the canonical layout of [manifest.Format].
func snapYAML(w io.Writer) (write func(*prove.Snap) error, end func() error) {
	some := false
	write = func(s *prove.Snap) error {
		some = true
		var b strings.Builder
		fmt.Fprintf(&b, "- name: %s\n  dmap:\n", manifest.Bare(s.Name))
		for _, d := range s.Digests {
			quoted := make([]string, len(d.Tags))
			for i, t := range d.Tags {
				quoted[i] = strconv.Quote(t)
			}
			fmt.Fprintf(&b, "    %q: [%s]\n", d.Digest.String(), strings.Join(quoted, ", "))
		}
		_, err := io.WriteString(w, b.String())
		return err
	}
	return write, func() error {
		if some {
			return nil
		}
		_, err := fmt.Fprintln(w, "[]")
		return err
	}
}

// snapJSON writes images as JSON, one per line.
func snapJSON(w io.Writer) (write func(*prove.Snap) error, end func() error) {
	before := "["
	write = func(s *prove.Snap) error {
		raw, err := json.Marshal(struct {
			Name string `json:"name"`
			DMap dmap   `json:"dmap"`
		}{s.Name, s.Digests})
		if err == nil {
			_, err = fmt.Fprintf(w, "%s\n%s", before, raw)
		}
		before = ","
		return err
	}
	return write, func() error {
		if before == "[" {
			_, err := fmt.Fprintln(w, "[]")
			return err
		}
		_, err := fmt.Fprintln(w, "\n]")
		return err
	}
}

// dmap is a JSON object with tags by digest. It keeps its order.
type dmap []prove.SnapDigest

// MarshalJSON implements [json.Marshaler].
func (d dmap) MarshalJSON() ([]byte, error) {
	var b strings.Builder
	for i, e := range d {
		tags := e.Tags
		if tags == nil {
			tags = []string{}
		}
		raw, err := json.Marshal(map[oci.Digest][]string{e.Digest: tags})
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strings.TrimSuffix(strings.TrimPrefix(string(raw), "{"), "}"))
	}
	return []byte("{" + b.String() + "}"), nil
}
