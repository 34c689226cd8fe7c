package edit

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	yaml "go.yaml.in/yaml/v4"

	"ociproxy/internal/config"
)

// Set is one value to change: a key with one word in a stanza that has a name.
type Set struct {
	List  string // the list with the stanza: "stores" or "upstreams"
	Name  string // of the stanza
	Key   string // "state"
	Value string // without quotes: "active", "25"
}

// Result is a changed config.
type Result struct {
	Text    []byte              // of the new file
	Config  *config.Config      // of the new file
	Old     *config.Config      // of the file as it was
	Changes []config.Difference // empty when the file says all that already; then Text is the old text
}

// Refusal is the error of a change that this package cannot make, or would not make alone.
type Refusal struct {
	File   string
	Line   int // from 1; 0: the file as a whole
	Reason string
	Hint   string // what to do; may be empty
}

// Error is one line: file:line: reason.
func (r *Refusal) Error() string {
	if r.Line == 0 {
		return r.File + ": " + r.Reason
	}
	return fmt.Sprintf("%s:%d: %s", r.File, r.Line, r.Reason)
}

// word matches the values that need no quotes in any style of YAML.
var word = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$`)

// Apply makes the changes in the text of a config file. Relative file names in it start at the directory of name. The
// error is a [*config.Errors] when text is no valid config, and a [*Refusal] when a change cannot be made.
func Apply(name string, text []byte, sets ...Set) (*Result, error) {
	old, err := config.ParseIn(filepath.Dir(name), name, text)
	if err != nil {
		return nil, err
	}
	r := &Result{Text: text, Config: old, Old: old}
	for _, s := range sets {
		if err := r.apply(name, s); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// apply makes one change, and checks it.
func (r *Result) apply(name string, s Set) error {
	e := editor{file: name, text: string(r.Text), set: s}
	i := index(r.Config, s)
	if i < 0 || !word.MatchString(s.Value) {
		return e.refuse(nil, "", "cannot set %s of %q in %s to %q", s.Key, s.Name, s.List, s.Value)
	}
	path := fmt.Sprintf("%s[%d].%s", s.List, i, s.Key)
	next, err := e.edit(i)
	if err != nil {
		return err
	}
	cfg, err := config.ParseIn(filepath.Dir(name), name, []byte(next))
	if err != nil {
		return &Refusal{File: name, Reason: fmt.Sprintf("with %s: %s the config would be invalid: %v", s.Key, s.Value, err)}
	}
	diff := config.Compare(cfg, r.Config)
	switch {
	case len(diff) == 0: // it says so already, with other words or by default
		return nil
	case len(diff) == 1 && diff[0].Key == path && diff[0].Is == s.Value:
		r.Text, r.Config, r.Changes = []byte(next), cfg, append(r.Changes, diff[0])
		return nil
	}
	other := diff[0]
	if other.Key == path && len(diff) > 1 {
		other = diff[1]
	}
	return &Refusal{
		File: name, Line: r.Config.Fault(path, "", "").Line,
		Reason: fmt.Sprintf("to set %s would change %s too, from %q to %q", path, other.Key, other.Was, other.Is),
		Hint:   "other lines of the file refer to this one: edit the file by hand",
	}
}

// index returns the place of the stanza in its list; -1: there is none.
func index(cfg *config.Config, s Set) int {
	switch s.List {
	case "stores":
		return slices.IndexFunc(cfg.Stores, func(st config.Store) bool { return st.Name == s.Name })
	case "upstreams":
		return slices.IndexFunc(cfg.Upstreams, func(up config.Upstream) bool { return up.Name == s.Name })
	}
	return -1
}

// editor makes one change in one text.
type editor struct {
	file, text string
	set        Set
	lines      []int // where each line begins
}

func (e *editor) refuse(n *yaml.Node, hint, format string, args ...any) error {
	r := &Refusal{File: e.file, Reason: fmt.Sprintf(format, args...), Hint: hint}
	if n != nil {
		r.Line = n.Line
	}
	return r
}

// byHand is the hint where only a person can know what the file should look like.
func (e *editor) byHand() string {
	return fmt.Sprintf("edit the file by hand: %s: %s", e.set.Key, e.set.Value)
}

// edit returns the new text. Stanza i of the list is the one to change.
func (e *editor) edit(i int) (string, error) {
	if !utf8.ValidString(e.text) { // the library also reads UTF-16
		return "", e.refuse(nil, "save it as UTF-8", "the file is not in UTF-8")
	}
	e.lines = lineStarts(e.text)
	stanza, err := e.stanza(i)
	if err != nil {
		return "", err
	}
	value := own(stanza, e.set.Key)
	if value == nil {
		return e.insert(stanza)
	}
	if value.Kind == yaml.AliasNode {
		return "", e.refuse(value, e.byHand(), "%s of %s is the alias *%s: its value is in line %d", e.set.Key, e.set.Name, value.Value, value.Alias.Line)
	}
	from, to, ok := e.scalar(value)
	if !ok {
		return "", e.refuse(value, e.byHand(), "%s of %s has an anchor or a tag, or is not a plain word", e.set.Key, e.set.Name)
	}
	next := e.set.Value
	if value.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		next = e.text[from:from+1] + next + e.text[from:from+1]
	}
	return e.text[:from] + next + e.text[to:], nil
}

// stanza returns the mapping to change. An alias on the way means that other stanzas have the same lines.
func (e *editor) stanza(i int) (*yaml.Node, error) {
	var doc yaml.Node
	if err := yaml.Load([]byte(e.text), &doc); err != nil {
		return nil, e.refuse(nil, "", "read the file: %v", err)
	}
	root := &doc
	if root.Kind == yaml.DocumentNode && len(root.Content) > 0 {
		root = root.Content[0]
	}
	list := own(root, e.set.List)
	if list == nil {
		return nil, e.refuse(root, e.byHand(), "%s is not a key of its own in the file: it is merged with <<", e.set.List)
	}
	if list.Kind != yaml.SequenceNode || i >= len(list.Content) {
		return nil, e.refuse(list, e.byHand(), "%s is an alias, not a list", e.set.List)
	}
	stanza := list.Content[i]
	if stanza.Kind != yaml.MappingNode {
		return nil, e.refuse(stanza, e.byHand(), "the stanza of %s is an alias: its lines belong to another one", e.set.Name)
	}
	return stanza, nil
}

// own returns the value of a key that is written in the mapping itself; nil: there is none, or it comes from a merge.
func own(mapping *yaml.Node, key string) *yaml.Node {
	for k, v := range pairs(mapping) {
		if k.Kind == yaml.ScalarNode && k.Value == key {
			return v
		}
	}
	return nil
}

// pairs are the keys and values that are written in the mapping itself, in order.
func pairs(mapping *yaml.Node) func(yield func(k, v *yaml.Node) bool) {
	return func(yield func(k, v *yaml.Node) bool) {
		for i := 0; mapping.Kind == yaml.MappingNode && i+1 < len(mapping.Content); i += 2 {
			if !yield(mapping.Content[i], mapping.Content[i+1]) {
				return
			}
		}
	}
}

// scalar returns where the text of a scalar begins and ends, with its quotes. ok is false when that is not certain:
// the scalar has an anchor or a tag before it, has escapes, or has more than one line.
func (e *editor) scalar(n *yaml.Node) (from, to int, ok bool) {
	if n.Kind != yaml.ScalarNode || n.Value == "" {
		return 0, 0, false
	}
	raw := n.Value
	switch n.Style &^ yaml.FlowStyle {
	case 0:
	case yaml.SingleQuotedStyle:
		raw = "'" + strings.ReplaceAll(raw, "'", "''") + "'"
	case yaml.DoubleQuotedStyle:
		raw = `"` + raw + `"`
	default: // tagged, literal, folded
		return 0, 0, false
	}
	// A node with an anchor begins at the anchor, so its text is not there.
	from = e.offset(n)
	if from < 0 || !strings.HasPrefix(e.text[from:], raw) {
		return 0, 0, false
	}
	return from, from + len(raw), true
}
