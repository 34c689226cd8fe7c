package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/cli"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publish"
)

func (a *app) configExport() *cobra.Command {
	var at published
	var rings []string
	cmd := &cobra.Command{
		Use:   "export DIR",
		Short: "Copy the publication into a directory, for --config-fallback of the server",
		Long: `export writes the documents and the configs that the rings use into DIR, in the same layout. Put DIR
into the image of the server, and name it with serve --config-fallback: then a new instance starts
even when the bucket is not reachable. It copies only what it can believe.

It keeps a list of the files that it writes, in DIR/` + exportedName + `. The next export into DIR removes
those of them that are not published any more, and touches no other file. It removes nothing while a
document of the publication cannot be believed.`,
		Example: `  oci-proxyctl config export fallback/
  oci-proxyctl config export fallback/ --ring all`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkRings(rings); err != nil {
				return err
			}
			return a.runConfigExport(cmd.Context(), &at, args[0], rings)
		},
	}
	at.flags(cmd)
	ringFlag(cmd, &rings)
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd)
	return cmd
}

// exportedSite is the JSON document of config export. Only add fields; never remove one.
type exportedSite struct {
	Dir     string   `json:"dir"`
	Files   []string `json:"files"`
	Removed []string `json:"removed"` // of an earlier export
}

func (a *app) runConfigExport(ctx context.Context, at *published, dir string, rings []string) error {
	site, err := at.open(ctx, a)
	if err != nil {
		return err
	}
	if url := site.Bucket.String(); sameDir(dir, strings.TrimPrefix(url, "file://")) {
		return cli.Usage("name a directory for the copy", "%s is the publication itself", dir)
	}
	state, err := readSite(ctx, site)
	if err != nil {
		return err
	}
	for name, fault := range state.Faults {
		a.warn("%s is left out, because it cannot be believed: %v", name, fault)
	}
	if len(rings) == 0 {
		rings = state.Rings()
	}
	if len(rings) == 0 {
		return cli.Fail("config publish publishes the first", "nothing is published")
	}
	// The content comes before the head that names it, so that no reader of DIR finds half.
	var names []string
	for _, ring := range rings {
		h := state.Heads[ring]
		if h == nil {
			return cli.Usage("there are "+strings.Join(state.Rings(), ", "), "ring %s: %w", ring, publish.ErrNoRing)
		}
		names = append(names, publication.ContentName(h.SHA256))
	}
	if state.Keys != nil {
		names = append(names, publication.KeysName)
	}
	if state.Overrides != nil {
		names = append(names, publication.OverridesName)
	}
	for _, ring := range rings {
		names = append(names, publication.HeadName(ring))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the server runs as another user
		return err
	}
	before, err := readExported(dir)
	if err != nil {
		return err
	}
	// The list comes first: a killed export has written no file that the list does not have.
	if err := writeExported(dir, slices.Concat(before, names)); err != nil {
		return err
	}
	doc := exportedSite{Dir: dir, Files: names, Removed: []string{}}
	for _, name := range names {
		text, err := site.Document(ctx, state, name)
		if err != nil {
			return err
		}
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // the server runs as another user
			return err
		}
		if err := atomicfile.Write(file, text, 0o644); err != nil {
			return err
		}
	}
	if len(state.Faults) == 0 { // otherwise the earlier copy may be the better one
		if doc.Removed, err = removeExported(dir, before, names); err != nil {
			return err
		}
		if err := writeExported(dir, names); err != nil {
			return err
		}
	}
	if a.format == cli.JSON {
		return cli.WriteJSON(a.stdout, doc)
	}
	if len(doc.Removed) > 0 {
		fmt.Fprintf(a.stdout, "removed, because the publication does not use them any more: %s\n", strings.Join(doc.Removed, ", "))
	}
	_, err = fmt.Fprintf(a.stdout, "%s has %s: %s\n", dir, cli.Count(int64(len(names)), "file"), strings.Join(names, ", "))
	return err
}

// exportedName is the list of what config export has written into a directory.
const exportedName = "exported.json"

// exportedList is the content of that file. Only add fields; never remove one.
type exportedList struct {
	Files []string `json:"files"`
}

// maxExported is far above what a publication can have.
const maxExported = 1 << 20

// exportedRule matches the names that an export can have written, and no other.
var exportedRule = regexp.MustCompile(`^(keys\.json|overrides\.json|content/[0-9a-f]{64}\.yaml|rings/[a-z0-9-]+/head\.json)$`)

// readExported returns the files that earlier exports have written into dir; none if there is no list.
func readExported(dir string) ([]string, error) {
	name := filepath.Join(dir, exportedName)
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	hint := "remove it if it is not of an earlier config export, or name another directory"
	if !info.Mode().IsRegular() || info.Size() > maxExported {
		return nil, cli.Fail(hint, "%s is not a list of exported files", name)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var list exportedList
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, cli.Fail(hint, "%s is not a list of exported files: %w", name, err)
	}
	return list.Files, nil
}

func writeExported(dir string, names []string) error {
	names = slices.Clone(names)
	slices.Sort(names)
	var text bytes.Buffer
	if err := cli.WriteJSON(&text, exportedList{slices.Compact(names)}); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, exportedName), text.Bytes(), 0o644)
}

// removeExported removes what earlier exports wrote into dir and this one did not, heads before the content that they
// name. The list is a file that anybody may have changed: it cannot make this remove a file outside dir, or one that no
// export writes.
func removeExported(dir string, before, now []string) (removed []string, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // nothing was written through it
	removed = []string{}
	slices.Sort(before)
	slices.Reverse(before) // rings/ before content/
	for _, name := range before {
		if slices.Contains(now, name) || !exportedRule.MatchString(name) {
			continue
		}
		err := root.Remove(filepath.FromSlash(name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, fmt.Errorf("remove what an earlier export wrote: %w", err)
		}
		if err == nil {
			removed = append(removed, name)
		}
		if parent := filepath.Dir(filepath.FromSlash(name)); filepath.Dir(parent) == "rings" {
			_ = root.Remove(parent) // it stays if it has other files
		}
	}
	return removed, nil
}

// sameDir reports whether two paths name one directory that exists.
func sameDir(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}
