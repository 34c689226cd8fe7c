package manifest

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	yaml "go.yaml.in/yaml/v4"

	"ociproxy/internal/oci"
)

// Load reads a thin tree (a directory) or a plain manifest (a file) and applies every rule. The error is an *Errors
// when something in it is wrong. Then the tree is made of the rest, and [Tree.Hold] says what of it may be promoted.
// The tree is nil when there is none. Load follows symbolic links inside the tree; other symbolic links are errors.
func Load(path string) (*Tree, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read manifests: %w", err)
	}
	if !info.IsDir() {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read manifests: %w", err)
		}
		return Plain(path, data)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("read manifests: %w", err)
	}
	defer func() { _ = root.Close() }() // it was only read
	t, err := LoadFS(root.FS(), path)
	meant(path, err)
	return t, err
}

// Plain reads the text of a plain manifest; name is what messages call it.
func Plain(name string, data []byte) (*Tree, error) {
	p := &parser{file: name}
	project := &Project{File: name, ImagesFile: name, sum: [2][sha256.Size]byte{sha256.Sum256(data)}}
	if len(data) > MaxBytes {
		p.add(RuleUnreadable, 0, 0, "", "the file is larger than %d MiB", MaxBytes>>20)
	} else if root := p.document(data, false); root != nil {
		r, images := p.manifest(root, true)
		project.Source, project.Destinations = p.check(r)
		if images != nil {
			project.Images = images.list
		}
	}
	t := &Tree{Path: name, Projects: []*Project{project}}
	return t, t.finish(p.faults)
}

// LoadFS reads a thin tree from a file system; path is what messages call its root. A symbolic link that leads out of it must
// fail to open there, as those of an os.Root do.
func LoadFS(fsys fs.FS, path string) (*Tree, error) {
	l := &loader{fsys: fsys, path: path}
	if err := l.discover(); err != nil {
		return nil, err
	}
	names := l.names()
	projects := make([]*Project, len(names))
	faults := make([][]*Fault, len(names))
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(runtime.GOMAXPROCS(0), len(names)) {
		wg.Go(func() {
			for i := range next {
				projects[i], faults[i] = l.project(names[i])
			}
		})
	}
	for i := range names {
		next <- i
	}
	close(next)
	wg.Wait()
	t := &Tree{Path: path, Projects: projects}
	all := l.faults
	for i, list := range faults {
		for _, f := range list {
			f.about(names[i])
		}
		all = append(all, list...)
	}
	return t, t.finish(all)
}

// finish applies the rules between projects, and about the tree as a whole.
func (t *Tree) finish(faults []*Fault) error {
	t.Hash = t.hash()
	t.index()
	faults = append(faults, t.between()...)
	if f := t.nothing(); len(t.Projects) == 0 || f != nil && !slices.ContainsFunc(faults, isError) {
		faults = append(faults, f)
	}
	errs, warns := sortFaults(faults)
	t.Warnings = warns
	if len(errs) > 0 {
		return &Errors{errs}
	}
	return nil
}

// nothing says that no image is promoted: there is no project, or none has any; nil: some are.
func (t *Tree) nothing() *Fault {
	f := &Fault{Place: Place{File: t.Path}, Rule: RuleNothing, Hint: "list an image with a digest in the " + ImagesFile + " of a project"}
	switch {
	case len(t.Projects) == 0:
		f.Rule, f.Hint = RuleNoProject, "a project has "+ManifestsDir+"/<project>/"+ManifestFile+" and "+ImagesDir+"/<project>/"+ImagesFile
		f.Message = "nothing to promote in " + t.Path + ": there is no project in it"
	case t.Edges() > 0:
		return nil
	case len(t.Projects) == 1 && t.Projects[0].Name == "":
		f.Hint = "list an image with a digest"
		f.Message = "nothing to promote in " + t.Path + ": it has no image with a digest"
	default:
		f.Message = "nothing to promote in " + t.Path + ": no project in it has a destination and an image with a digest"
	}
	return f
}

// project reads one project's two files.
func (l *loader) project(name string) (*Project, []*Fault) {
	p := &Project{Name: name, File: l.shown(ManifestsDir, name, ManifestFile), ImagesFile: l.shown(ImagesDir, name, ImagesFile)}
	manifest, images := &parser{file: p.File}, &parser{file: p.ImagesFile}
	half := l.found[name]
	switch {
	case half.manifest == "" && !half.broken:
		images.add(RuleHalf, 0, 0, "add "+p.File, "the project %s has images, but no manifest that says where they go: nothing of it is promoted", name)
	case half.images == "" && !half.broken:
		manifest.add(RuleHalf, 0, 0, "add "+p.ImagesFile+"; `[]` when it has no images yet", "the project %s has a manifest, but no images: nothing of it is promoted", name)
	}
	data, ok := l.read(manifest, half.manifest)
	if p.noFile[0] = !ok; ok {
		p.sum[0] = sha256.Sum256(data)
		if root := manifest.document(data, false); root != nil {
			r, _ := manifest.manifest(root, false)
			p.Source, p.Destinations = manifest.check(r)
		}
		if slices.ContainsFunc(manifest.faults, isError) {
			p.mentions = mentioned(data)
		}
	}
	data, ok = l.read(images, half.images)
	if p.noFile[1] = !ok; ok {
		p.sum[1] = sha256.Sum256(data)
		root := images.document(data, true)
		if root != nil {
			p.Images = images.images(root).list
		}
		images.empty(root)
	}
	p.tooLong(images)
	return p, append(manifest.faults, images.faults...)
}

// empty warns of a file or key of images in which nothing stands: perhaps what stood there got lost.
func (p *parser) empty(root *yaml.Node) {
	const hint = "list images there, or write `[]` if there are none"
	switch {
	case slices.ContainsFunc(p.faults, isError):
	case root == nil:
		p.add(RuleEmptyFile, 0, 0, hint, "the file lists nothing: no image of the project is promoted")
	case isNullNode(root):
		p.fault(root, RuleEmptyFile, hint, "the list is empty: no image of the project is promoted")
	}
}

// tooLong reports images whose name fits no registry together with the path of a destination.
func (p *Project) tooLong(images *parser) {
	for _, i := range p.Images {
		for _, d := range p.Destinations {
			if _, path, _ := strings.Cut(d.Repository(i.Name), "/"); len(path) > oci.MaxName {
				images.add(RuleImage, int(i.Line), int(i.Column), "", "the repository %s is longer than %d characters", shorten(path), oci.MaxName)
				break
			}
		}
	}
}

func (l *loader) read(p *parser, name string) ([]byte, bool) {
	if name == "" {
		return nil, false
	}
	info, err := fs.Stat(l.fsys, name)
	if err == nil && info.Size() > MaxBytes {
		p.add(RuleUnreadable, 0, 0, "split the project", "the file is larger than %d MiB", MaxBytes>>20)
		return nil, false
	}
	data, err := fs.ReadFile(l.fsys, name)
	if err != nil {
		p.add(RuleUnreadable, 0, 0, unreadableHint, "%s", err)
		return nil, false
	}
	return data, true
}

// shown is how messages call a file of the tree.
func (l *loader) shown(parts ...string) string {
	return filepath.Join(append([]string{l.path}, parts...)...)
}
