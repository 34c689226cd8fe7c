package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// Version is the newest format of the file that this release reads.
const Version = 1

// MaxBytes is the largest file that is read, far above any real file (one of 400 stores is 150 KB).
const MaxBytes = 8 << 20

// Load reads a file. Relative file names in it are made absolute, seen from the directory of the file as it is named
// (a symbolic link is not followed: beside a ConfigMap's link lie its other keys). The error is an *Errors when the file
// was read and is wrong, else what the operating system said.
func Load(file string) (*Config, error) {
	f, err := os.Open(file)
	if err != nil && strings.Contains(file, "://") {
		return nil, fmt.Errorf("read config %s: this command needs a file, no URL: write one with oci-proxyctl config export", file)
	}
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read config %s: %w", file, err)
	}
	return ParseIn(filepath.Dir(file), file, data)
}

// ParseIn is [Parse] for a file that belongs into dir: relative file names in it start at dir.
func ParseIn(dir, name string, data []byte) (*Config, error) {
	c, err := Parse(name, data)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("read config %s: %w", name, err)
	}
	for _, p := range c.files() {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	return c, nil
}

// files are the keys that name files or directories.
func (c *Config) files() []*string {
	out := []*string{&c.TLS.Cert, &c.TLS.Key, &c.Ranges.Cache, &c.Ranges.Seed, &c.Ranges.GeoIP.City, &c.Ranges.GeoIP.ASN, &c.Route.Latency, &c.Endpoints.Signed,
		&c.Mirror.Spool.Dir, &c.Mirror.Repositories.Promoter}
	for i := range c.Ranges.Feeds {
		out = append(out, &c.Ranges.Feeds[i].File)
	}
	return out
}

// Parse reads the text of a file; name is what messages call it. The error is always an *Errors with every fault that
// could be found. Relative file names stay as they are.
func Parse(name string, data []byte) (*Config, error) {
	d := &decoder{source: newSource(name, data), nodes: map[string]*yaml.Node{}, bad: map[string]bool{}}
	c := d.read(data)
	if len(d.faults) > 0 {
		return nil, &Errors{List: sorted(d.faults)}
	}
	sum := sha256.Sum256(data)
	c.Hash = hex.EncodeToString(sum[:])
	c.file, c.text = name, data
	return c, nil
}

// Text is the file, byte by byte. Do not change it.
func (c *Config) Text() []byte { return c.text }

// Fault is a fault that only shows when what the file names is used, such as a certificate that does not fit its key. It
// has the place of path in the file, or of the nearest thing around it.
func (c *Config) Fault(path, hint, format string, args ...any) *Error {
	v := &validator{decoder: &decoder{source: newSource(c.file, c.text), nodes: map[string]*yaml.Node{}, bad: map[string]bool{}}}
	v.read(c.text) // again: a server has no use for the nodes while it runs
	v.bad = map[string]bool{}
	return v.locate(v.at(path, hint, format, args...))
}

// Where is the place of path in the file, "config.yaml:12", or of the nearest thing around it; "" when c was not read from one. It
// reads the file's text again: ask for messages only.
func (c *Config) Where(path string) string {
	if len(c.text) == 0 {
		return ""
	}
	at := c.Fault(path, "", "")
	if at.Line == 0 {
		return at.File
	}
	return fmt.Sprintf("%s:%d", at.File, at.Line)
}

func (d *decoder) read(data []byte) *Config {
	if len(data) > MaxBytes {
		d.add(&Error{Message: fmt.Sprintf("the file is larger than %d MiB", MaxBytes>>20)})
		return nil
	}
	root, partial := d.parse(data)
	if root == nil {
		return nil
	}
	if newer := d.newer(root); newer {
		return nil
	}
	c := new(Config)
	d.value(root, reflect.ValueOf(c).Elem(), "")
	if partial {
		d.keepBefore()
		return nil
	}
	validate(d, c)
	if len(d.faults) == 0 {
		c.complete()
	}
	return c
}

// parse returns the top mapping. After a fault of syntax, which is reported, it is the part of the file before the
// top-level key in which the fault lies, so that other faults are still found; nil when nothing is left.
func (d *decoder) parse(data []byte) (root *yaml.Node, partial bool) {
	var doc yaml.Node
	err := yaml.Load(data, &doc)
	if err == nil {
		return d.top(&doc), false
	}
	fault := d.syntax(err)
	d.add(fault)
	var head []string
	for i := min(fault.Line, len(d.lines)) - 1; i > 0; i-- {
		if l := d.lines[i]; l != "" && l[0] > ' ' && l[0] != '#' && l[0] != '-' && i < fault.Line-1 {
			head = d.lines[:i]
			break
		}
	}
	doc = yaml.Node{}
	if len(head) == 0 || yaml.Load([]byte(strings.Join(head, "\n")), &doc) != nil || doc.Kind != yaml.DocumentNode || doc.Content[0].Kind != yaml.MappingNode {
		return nil, true
	}
	return doc.Content[0], true
}

func (d *decoder) top(doc *yaml.Node) *yaml.Node {
	if doc.Kind != yaml.DocumentNode || len(doc.Content) == 0 {
		return doc
	}
	return doc.Content[0]
}

// keepBefore drops what cannot be known from half a file: which keys are missing from it.
func (d *decoder) keepBefore() {
	kept := d.faults[:0]
	for _, f := range d.faults {
		if f.Path != "" || !strings.HasPrefix(f.Message, "missing key") {
			kept = append(kept, f)
		}
	}
	d.faults = kept
}

// syntax translates the library's error.
func (d *decoder) syntax(err error) *Error {
	var one *yaml.LoadError
	var many *yaml.LoadErrors
	if errors.As(err, &many) && len(many.Errors) > 0 {
		one = many.Errors[0]
	} else if !errors.As(err, &one) {
		return &Error{Message: err.Error()}
	}
	e := &Error{Line: one.Mark.Line, Column: one.Mark.Column, Message: "not YAML: " + one.Message}
	switch {
	case strings.Contains(one.Message, "no documents"):
		e.Message, e.Hint = "the file is empty", "begin with `version: 1`; examples/minimal.yaml is a start"
	case strings.Contains(one.Message, "single document"):
		e.Line, e.Column = d.secondDocument(), 1
		e.Message, e.Hint = "a second document begins here", "the file holds one document: remove the `---`"
	case one.ContextMsg != "":
		e.Message += " (" + one.ContextMsg
		if l := one.ContextMark.Line; l > 0 && l != e.Line {
			e.Message += " that begins in line " + strconv.Itoa(l)
		}
		e.Message += ")"
	}
	if e.Line > 0 && e.Line <= len(d.lines) && bytes.ContainsRune([]byte(d.lines[e.Line-1]), '\t') {
		e.Hint = "indent with spaces: YAML has no tabs"
	}
	return e
}

func (d *decoder) secondDocument() int {
	content := false
	for i, l := range d.lines {
		if content && strings.HasPrefix(l, "---") {
			return i + 1
		}
		content = content || strings.TrimSpace(l) != "" && l[0] != '#' && l[0] != '%'
	}
	return 1
}

// newer reports, as the only fault, a file that this release cannot understand.
func (d *decoder) newer(root *yaml.Node) bool {
	if root.Kind != yaml.MappingNode {
		return false
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if v := root.Content[i+1]; root.Content[i].Value == "version" && v.Kind == yaml.ScalarNode {
			n, err := strconv.Atoi(v.Value)
			if err != nil || n <= Version {
				return false
			}
			d.fault("version", v, fmt.Sprintf("this file has format version %d; this release reads version %d", n, Version),
				"upgrade the program, or write the file in the older format")
			return true
		}
	}
	return false
}
