package manifest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// meant completes the hint of a fault that says that path is no tree, or has no project: where one is close by.
func meant(path string, err error) {
	faults, bad := errors.AsType[*Errors](err)
	if !bad {
		return
	}
	for _, f := range faults.List {
		if f.Rule != RuleTree && f.Rule != RuleNoProject {
			continue
		}
		if near := nearby(path); near != "" {
			f.Hint = "did you mean " + near + "? " + strings.ToUpper(f.Hint[:1]) + f.Hint[1:]
		}
	}
}

// nearby is a tree above or below path, or a plain manifest in it; empty: none was found.
func nearby(path string) string {
	const above, below = 3, 2
	if abs, err := filepath.Abs(path); err == nil {
		up := path
		for range above {
			up, abs = filepath.Join(up, ".."), filepath.Dir(abs)
			if isTree(abs) {
				return up
			}
		}
	}
	return within(path, below)
}

// within looks below path, in the order of names.
func within(path string, depth int) string {
	const enough = 200 // a tree of manifests does not hide among more
	entries, err := os.ReadDir(path)
	if err != nil {
		return ""
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return strings.HasPrefix(e.Name(), ".") })
	entries = entries[:min(len(entries), enough)]
	for _, e := range entries {
		if name := filepath.Join(path, e.Name()); e.IsDir() && isTree(name) || e.Type().IsRegular() && isPlain(name) {
			return name
		}
	}
	if depth > 1 {
		for _, e := range entries {
			if e.IsDir() {
				if near := within(filepath.Join(path, e.Name()), depth-1); near != "" {
					return near
				}
			}
		}
	}
	return ""
}

// isTree looks for a project's file below a directory.
func isTree(dir string) bool {
	found, err := filepath.Glob(filepath.Join(escaped(dir), ManifestsDir, "*", ManifestFile))
	return err == nil && len(found) > 0
}

// escaped is a path as a pattern that matches itself only.
func escaped(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// isPlain reports whether a file is a plain manifest.
func isPlain(name string) bool {
	if info, err := os.Stat(name); err != nil || !isYAML(name) || info.Size() > MaxBytes {
		return false
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return false
	}
	t, err := Plain(name, data)
	return err == nil && t.Edges() > 0
}
