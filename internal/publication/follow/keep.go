package follow

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/lastgood"
	"ociproxy/internal/publication"
)

// documentsDir is the directory of the accepted documents, beside the copies of the configurations.
const documentsDir = "publication"

// unsaved is what is not on the disk yet. Follower.mu guards it.
type unsaved struct {
	text      []byte            // the configuration that the head in documents names
	documents map[string][]byte // by name
	failed    error             // of the last attempt
}

// put notes a document for the disk.
func (u *unsaved) put(name string, text []byte) {
	if u.documents == nil {
		u.documents = map[string][]byte{}
	}
	u.documents[name] = text
}

// Good says that the server has served with the configuration of the last Used, and keeps it and its head on the disk.
// Each round tries again what could not be written.
func (f *Follower) Good() error {
	f.mu.Lock()
	if c := f.used; c != nil && c.head != nil {
		f.good, f.text = c, c.Text
		f.put(publication.HeadName(f.opt.Ring), c.envelope)
	}
	f.mu.Unlock()
	return f.save()
}

// save writes what is not on the disk yet.
func (f *Follower) save() error {
	f.saving.Lock()
	defer f.saving.Unlock()
	f.mu.Lock()
	todo := unsaved{text: f.text, documents: maps.Clone(f.documents)}
	f.mu.Unlock()
	if len(todo.documents) == 0 {
		return nil
	}
	var err error
	if f.opt.Dir != "" {
		err = f.write(todo)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil && f.failed == nil {
		f.log.Error("the accepted publication is not on the disk: a start without its URL would use an older one", "error", err.Error())
	} else if err == nil && f.failed != nil {
		f.log.Info("the accepted publication is on the disk again")
	}
	f.failed = err
	if err != nil {
		return err
	}
	if bytes.Equal(f.text, todo.text) {
		f.text = nil
	}
	for name, text := range todo.documents {
		if bytes.Equal(f.documents[name], text) {
			delete(f.documents, name)
		}
	}
	return nil
}

// write writes the content before the head that names it.
func (f *Follower) write(todo unsaved) error {
	if todo.text != nil {
		if err := lastgood.Dir(f.opt.Dir).Keep(todo.text); err != nil {
			return fmt.Errorf("keep the configuration: %w", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(todo.documents)) { // the keys before what they have signed
		text := todo.documents[name]
		file := filepath.Join(f.opt.Dir, documentsDir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		if err := atomicfile.Write(file, text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
