package promote

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ociproxy/internal/command"
	"ociproxy/internal/manifest"
)

// gitTimeout limits one run of git. git reads a local repository.
const gitTimeout = 2 * time.Minute

// maxRevision bounds the bytes of a tree of manifests in a revision.
const maxRevision = 1 << 30

// Revision reads manifests as they were in a revision of the git repository that path lies in. path may be a thin
// tree or a plain manifest, and may no longer exist. A revision that does not know path at all had no manifests.
// Faults are those of [manifest.Load]; places name the revision: REV:path.
func Revision(ctx context.Context, dir, rev string) (*manifest.Tree, error) {
	if rev == "" || strings.HasPrefix(rev, "-") {
		return nil, fmt.Errorf("%q is no revision", rev)
	}
	g := git{dir: dir}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		g.dir = filepath.Dir(dir)
	}
	commit, err := g.run(ctx, nil, "rev-parse", "--verify", "--quiet", "--end-of-options", rev+"^{commit}")
	if err != nil {
		return nil, fmt.Errorf("revision %s: %w", rev, err)
	}
	prefix, err := g.run(ctx, nil, "rev-parse", "--show-prefix")
	if err != nil {
		return nil, fmt.Errorf("revision %s: %w", rev, err)
	}
	where := path.Clean("./" + strings.TrimSuffix(string(prefix), "\n"))
	if g.dir != dir {
		where = path.Join(where, filepath.Base(dir))
	}
	objects, err := g.list(ctx, strings.TrimSpace(string(commit)), where)
	if err != nil {
		return nil, fmt.Errorf("revision %s: %w", rev, err)
	}
	files, err := g.read(ctx, objects)
	if err != nil {
		return nil, fmt.Errorf("revision %s: %w", rev, err)
	}
	name := rev + ":" + where
	if g.dir != dir {
		for _, f := range files {
			return manifest.Plain(name, f.text)
		}
		return &manifest.Tree{Path: name}, nil
	}
	fsys, err := inMemory(files)
	if err != nil {
		return nil, fmt.Errorf("revision %s: %w", rev, err)
	}
	if _, err := fs.Stat(fsys, manifest.ManifestsDir); errors.Is(err, fs.ErrNotExist) {
		return &manifest.Tree{Path: name}, nil
	}
	t, err := manifest.LoadFS(fsys, name)
	if t != nil && len(t.Projects) == 0 {
		return t, nil // faults of a tree without projects do not matter
	}
	return t, err
}

// git runs git in a directory.
type git struct{ dir string }

func (g git) run(ctx context.Context, stdin io.Reader, args ...string) ([]byte, error) {
	out, err := command.Run(ctx, command.Command{
		Name: "git", Args: args, Dir: g.dir, Stdin: stdin, Within: gitTimeout, MaxOutput: 2 * maxRevision,
		Env: append(os.Environ(), "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C"),
	})
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		text := strings.TrimSpace(string(failed.Stderr))
		if text == "" {
			text = "there is no such revision here"
		}
		return nil, fmt.Errorf("git %s: %s", args[0], text)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", args[0], err)
	}
	return out, nil
}

// object is a file of a revision.
type object struct {
	name string // relative to the directory
	id   string
	link bool
	text []byte
}

// list finds the files below where that can belong to a tree of manifests. where may be a single file.
func (g git) list(ctx context.Context, commit, where string) ([]object, error) {
	out, err := g.run(ctx, nil, "ls-tree", "-r", "-z", "--full-tree", commit, "--", where)
	if err != nil {
		return nil, err
	}
	var all []object
	for line := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		meta, name, ok := strings.Cut(line, "\t")
		fields := strings.Fields(meta)
		if !ok || len(fields) != 3 || fields[1] != "blob" {
			continue
		}
		if where != "." && name != where {
			name = strings.TrimPrefix(name, where+"/")
		} else if name == where {
			name = path.Base(name)
		}
		link := fields[0] == "120000"
		if base := path.Base(name); name == path.Base(where) || link || base == manifest.ManifestFile || base == manifest.ImagesFile {
			all = append(all, object{name: name, id: fields[2], link: link})
		}
	}
	return all, nil
}

// read reads the objects' content in one run.
func (g git) read(ctx context.Context, objects []object) ([]object, error) {
	if len(objects) == 0 {
		return nil, nil
	}
	var ids strings.Builder
	for _, o := range objects {
		ids.WriteString(o.id + "\n")
	}
	out, err := g.run(ctx, strings.NewReader(ids.String()), "cat-file", "--batch")
	if err != nil {
		return nil, err
	}
	if len(out) > maxRevision {
		return nil, fmt.Errorf("the manifests of the revision have more than %d MiB", maxRevision>>20)
	}
	r := bufio.NewReader(bytes.NewReader(out))
	for i := range objects {
		header, err := r.ReadString('\n')
		if err != nil {
			return nil, fmt.Errorf("git cat-file: %w", err)
		}
		fields := strings.Fields(header)
		if len(fields) != 3 {
			return nil, fmt.Errorf("git cat-file: %s", strings.TrimSpace(header))
		}
		size, err := strconv.Atoi(fields[2])
		if err != nil || size < 0 || size > len(out) {
			return nil, fmt.Errorf("git cat-file: size %q", fields[2])
		}
		objects[i].text = make([]byte, size)
		if _, err := io.ReadFull(r, objects[i].text); err != nil {
			return nil, fmt.Errorf("git cat-file: %w", err)
		}
		if _, err := r.Discard(1); err != nil {
			return nil, fmt.Errorf("git cat-file: %w", err)
		}
	}
	return objects, nil
}

// inMemory returns a file system of the files, as an archive in memory. It follows links to other files, and leaves out
// all other links.
func inMemory(files []object) (fs.FS, error) {
	byName := map[string]object{}
	for _, f := range files {
		byName[f.name] = f
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		for hops := 0; f.link && hops < 8; hops++ {
			to, ok := byName[path.Join(path.Dir(f.name), string(f.text))]
			if !ok {
				break
			}
			f = object{name: f.name, text: to.text, link: to.link}
		}
		if f.link {
			continue
		}
		out, err := w.CreateHeader(&zip.FileHeader{Name: f.name, Method: zip.Store})
		if err == nil {
			_, err = out.Write(f.text)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
}
