package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// loader finds the files of a thin tree.
type loader struct {
	fsys   fs.FS
	path   string
	found  map[string]half
	faults []*Fault
	strays []stray
}

// stray is a file that nobody reads by its own name.
type stray struct {
	name string
	rule Rule
}

// Files returns the files of a thin tree, as reached from the working directory. It leaves out symbolic links, so
// that a tool that rewrites the files does not write outside the tree.
func Files(dir string) ([]string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("read manifests: %w", err)
	}
	defer func() { _ = root.Close() }() // it was only read
	l := &loader{fsys: root.FS(), path: dir}
	if err := l.discover(); err != nil {
		meant(dir, err)
		return nil, err
	}
	if len(l.found) == 0 {
		err := &Errors{[]*Fault{(&Tree{Path: dir}).nothing()}}
		meant(dir, err)
		return nil, err
	}
	var out []string
	for _, project := range l.names() {
		for _, name := range []string{l.found[project].manifest, l.found[project].images} {
			if info, err := root.Lstat(name); err == nil && info.Mode().IsRegular() {
				out = append(out, l.shown(name))
			}
		}
	}
	return out, nil
}

// half is what was found of a project: the names of its files in the file system.
type half struct {
	manifest, images string
	broken           bool // a file is there, but cannot be used; that is reported
}

func (l *loader) names() []string { return slices.Sorted(maps.Keys(l.found)) }

// discover walks the tree. Links are followed where a file or a project's directory is expected, and nowhere else.
func (l *loader) discover() error {
	l.found = map[string]half{}
	for _, dir := range []string{ManifestsDir, ImagesDir} {
		info, err := fs.Stat(l.fsys, dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read manifests: %w", err)
		}
		if err != nil || !info.IsDir() {
			return &Errors{[]*Fault{{
				Place: Place{File: l.path}, Rule: RuleTree, Message: "no directory " + dir + "/ in it: this is not a tree of manifests",
				Hint: "name the directory that has " + ManifestsDir + "/ and " + ImagesDir + "/, or the file of a plain manifest",
			}}}
		}
	}
	top, err := fs.ReadDir(l.fsys, ".")
	if err != nil {
		return fmt.Errorf("read manifests: %w", err)
	}
	for _, e := range top {
		switch name := e.Name(); {
		case name == ManifestsDir || name == ImagesDir:
			l.half(name, map[string]string{ManifestsDir: ManifestFile, ImagesDir: ImagesFile}[name])
		case !strings.HasPrefix(name, "."):
			l.stray(name, e, false)
		}
	}
	l.tell()
	return nil
}

// tell reports the strays, but for those that are read through a symbolic link.
func (l *loader) tell() {
	if len(l.strays) == 0 {
		return
	}
	const read = "commands read " + ManifestsDir + "/<project>/" + ManifestFile + " and " + ImagesDir + "/<project>/" + ImagesFile
	linked := l.linked()
	for _, s := range l.strays {
		info, err := fs.Stat(l.fsys, s.name)
		switch is := func(other fs.FileInfo) bool { return os.SameFile(info, other) }; {
		case err == nil && slices.ContainsFunc(linked, is):
		case s.rule == RuleMisplaced:
			l.add(s.name, s.rule, "move it, or remove it: "+read, "no command reads this manifest: its name or directory is not that of a manifest")
		default:
			l.add(s.name, s.rule, read, "no command reads this file: its name or directory is not that of a manifest")
		}
	}
}

// linked are the files of projects that a symbolic link leads to, be it one of a file or of a directory above.
func (l *loader) linked() (out []fs.FileInfo) {
	for _, h := range l.found {
		for _, name := range []string{h.manifest, h.images} {
			if name == "" {
				continue
			}
			for part := name; part != "."; part = path.Dir(part) {
				if info, err := fs.Lstat(l.fsys, part); err != nil || info.Mode()&fs.ModeSymlink == 0 {
					continue
				}
				if info, err := fs.Stat(l.fsys, name); err == nil {
					out = append(out, info)
				}
				break
			}
		}
	}
	return out
}

// half looks for wanted in each directory of dir.
func (l *loader) half(dir, wanted string) {
	entries, err := fs.ReadDir(l.fsys, dir)
	if err != nil {
		l.add(dir, RuleUnreadable, unreadableHint, "%s", err)
		return
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		info, ok := l.stat(name, e)
		switch {
		case !ok:
			l.breaks(e.Name())
		case !info.IsDir():
			l.stray(name, e, true)
		default:
			l.inProject(dir, e.Name(), wanted)
		}
	}
}

func (l *loader) inProject(dir, project, wanted string) {
	entries, err := fs.ReadDir(l.fsys, path.Join(dir, project))
	if err != nil {
		l.add(path.Join(dir, project), RuleUnreadable, unreadableHint, "%s", err)
		l.breaks(project)
		return
	}
	for _, e := range entries {
		name := path.Join(dir, project, e.Name())
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if e.Name() != wanted {
			l.stray(name, e, true)
			continue
		}
		h := l.found[project]
		info, ok := l.stat(name, e)
		switch {
		case !ok:
			h.broken = true
		case !info.Mode().IsRegular():
			l.add(name, RuleUnreadable, "put a file there", "this is not a regular file")
			h.broken = true
		case wanted == ManifestFile:
			h.manifest = name
		default:
			h.images = name
		}
		l.found[project] = h
	}
}

// breaks notes that something of a project cannot be used, which is reported.
func (l *loader) breaks(project string) {
	h := l.found[project]
	h.broken = true
	l.found[project] = h
}

// unreadableHint is about a file or directory that is there and cannot be read.
const unreadableHint = "make it readable for the user that runs this"

// stat follows a symbolic link; one that leads out of the tree, or nowhere, is reported.
func (l *loader) stat(name string, e fs.DirEntry) (fs.FileInfo, bool) {
	info, err := fs.Stat(l.fsys, name)
	if err == nil {
		return info, true
	}
	if e.Type()&fs.ModeSymlink == 0 {
		l.add(name, RuleUnreadable, unreadableHint, "%s", err)
		return nil, false
	}
	where := "out of the tree"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		where = "nowhere"
	case errors.Is(err, syscall.ELOOP):
		where = "back to itself"
	}
	target, err := fs.ReadLink(l.fsys, name)
	if err != nil {
		target = "?"
	}
	l.add(name, RuleSymlink, "put the file itself there", "the symbolic link to %q leads %s", shorten(target), where)
	return nil, false
}

// stray notes files below name that nobody reads: manifests, by their name or, where manifests are expected, by
// what they say. Other YAML is warned of there.
func (l *loader) stray(name string, e fs.DirEntry, expected bool) {
	if !e.IsDir() {
		switch base := e.Name(); {
		case looksLike(base, ManifestFile), looksLike(base, ImagesFile), expected && (isYAML(base) || begins(base)) && l.saysSo(name):
			l.strays = append(l.strays, stray{name, RuleMisplaced})
		case expected && isYAML(base):
			l.strays = append(l.strays, stray{name, RuleUnread})
		}
		return
	}
	if depth := strings.Count(name, "/"); depth > 8 {
		return
	}
	entries, err := fs.ReadDir(l.fsys, name)
	if err != nil {
		return // what is not read need not be readable
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			l.stray(path.Join(name, e.Name()), e, expected)
		}
	}
}

// manifestKey is a line that only a manifest has.
var manifestKey = regexp.MustCompile(`(?m)^[ \t]*(- +)?["']?(dmap|registries)["']?[ \t]*:`)

// saysSo looks whether a file with another name is a manifest. One that cannot be read is not known to be.
func (l *loader) saysSo(name string) bool {
	if info, err := fs.Stat(l.fsys, name); err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := l.fsys.Open(name)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // it was only read
	const enough = 64 << 10
	begin, err := io.ReadAll(io.LimitReader(f, enough))
	return err == nil && manifestKey.Match(begin)
}

// add reports a fault of a file or directory of the tree. What lies below manifests/<project> or images/<project> is
// the project's.
func (l *loader) add(name string, rule Rule, hint, format string, args ...any) {
	f := &Fault{Place: Place{File: l.shown(name)}, Rule: rule, Message: fmt.Sprintf(format, args...), Hint: hint}
	if top, rest, below := strings.Cut(name, "/"); below && (top == ManifestsDir || top == ImagesDir) {
		project, _, inside := strings.Cut(rest, "/")
		if inside || !isYAML(project) {
			f.about(project)
		}
	}
	l.faults = append(l.faults, f)
}

func isYAML(base string) bool {
	ext := strings.ToLower(path.Ext(base))
	return ext == ".yaml" || ext == ".yml"
}

// begins: the word of a manifest's file with an ending that is none of YAML, and not that of a copy an editor made.
func begins(base string) bool {
	stem, ending, _ := strings.Cut(strings.ToLower(base), ".")
	stem = strings.ReplaceAll(stem, "_", "-")
	copies := []string{"bak", "orig", "rej", "old", "swp", "tmp"}
	return (stem == strings.TrimSuffix(ImagesFile, ".yaml") || stem == strings.TrimSuffix(ManifestFile, ".yaml")) &&
		!strings.HasSuffix(ending, "~") && !slices.Contains(copies, ending[strings.LastIndexByte(ending, '.')+1:])
}

// looksLike: the same word with another ending, in capitals, or with _ for -.
func looksLike(base, wanted string) bool {
	fold := strings.NewReplacer("_", "-").Replace
	stem := strings.TrimSuffix(wanted, path.Ext(wanted))
	return isYAML(base) && fold(strings.ToLower(strings.TrimSuffix(base, path.Ext(base)))) == stem
}
