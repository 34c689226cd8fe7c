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

// Stanza is a stanza to add to a list.
type Stanza struct {
	List  string // "stores" or "upstreams"
	After string // the name of the stanza that it follows; "": it becomes the last one
	// Text is the mapping in block style, from the first column on: lines such as "name: x", with comments where they
	// help. Comment lines at its beginning come to stand above the stanza.
	Text string
}

// Insert adds a stanza to a list in the text of a config file, and changes no other byte. Relative file names start at
// the directory of name. The error is a [*config.Errors] when text is no valid config, and a [*Refusal] when the stanza
// cannot be added, or when the config would be invalid with it.
func Insert(name string, text []byte, s Stanza) (*Result, error) {
	old, err := config.ParseIn(filepath.Dir(name), name, text)
	if err != nil {
		return nil, err
	}
	e := editor{file: name, text: string(text)}
	at := length(old, s.List)
	if s.After != "" {
		if at = index(old, Set{List: s.List, Name: s.After}) + 1; at == 0 {
			return nil, e.refuse(nil, "", "no stanza %q in %s", s.After, s.List)
		}
	}
	next, err := e.add(s, at)
	if err != nil {
		return nil, err
	}
	cfg, err := config.ParseIn(filepath.Dir(name), name, []byte(next))
	if err != nil {
		return nil, &Refusal{File: name, Reason: fmt.Sprintf("with the new stanza the config would be invalid: %v", err)}
	}
	if !without(cfg, old, s.List, at) {
		return nil, e.refuse(nil, byHand, "the new stanza would change other parts of the config, too")
	}
	r := &Result{Text: []byte(next), Config: cfg, Old: old}
	for _, v := range values(cfg, s.List, at) {
		r.Changes = append(r.Changes, config.Difference{Key: fmt.Sprintf("%s[%d].%s", s.List, at, v.Key), Is: v.Text})
	}
	return r, nil
}

// Remove removes the stanza with a name from a list in the text of a config file, with the comments that belong to it:
// those in it, and the lines directly above it. Comments above the first of several stanzas stay, because they may be
// about the list. Its errors are those of [Insert].
func Remove(name string, text []byte, list, stanza string) (*Result, error) {
	old, err := config.ParseIn(filepath.Dir(name), name, text)
	if err != nil {
		return nil, err
	}
	e := editor{file: name, text: string(text)}
	i := index(old, Set{List: list, Name: stanza})
	if i < 0 {
		return nil, e.refuse(nil, "", "no stanza %q in %s", stanza, list)
	}
	next, err := e.cut(list, i)
	if err != nil {
		return nil, err
	}
	cfg, err := config.ParseIn(filepath.Dir(name), name, []byte(next))
	if err != nil {
		return nil, &Refusal{File: name, Reason: fmt.Sprintf("without %s the config would be invalid: %v", stanza, err)}
	}
	if !without(old, cfg, list, i) {
		return nil, e.refuse(nil, byHand, "to remove %s would change other parts of the config, too", stanza)
	}
	r := &Result{Text: []byte(next), Config: cfg, Old: old}
	for _, v := range values(old, list, i) {
		r.Changes = append(r.Changes, config.Difference{Key: fmt.Sprintf("%s[%d].%s", list, i, v.Key), Was: v.Text})
	}
	return r, nil
}

const byHand = "edit the file by hand"

func length(cfg *config.Config, list string) int {
	if list == "stores" {
		return len(cfg.Stores)
	}
	return len(cfg.Upstreams)
}

// values are those of stanza i of a list.
func values(cfg *config.Config, list string, i int) []config.Value {
	if list == "stores" {
		return config.Values(&cfg.Stores[i])
	}
	return config.Values(&cfg.Upstreams[i])
}

// without reports whether small is big without stanza i of a list.
func without(big, small *config.Config, list string, i int) bool {
	if length(big, list) != length(small, list)+1 {
		return false
	}
	less := *big
	if list == "stores" {
		less.Stores = slices.Delete(slices.Clone(big.Stores), i, i+1)
	} else {
		less.Upstreams = slices.Delete(slices.Clone(big.Upstreams), i, i+1)
	}
	return len(config.Compare(&less, small)) == 0
}

// block is a list in block style: each stanza has lines of its own.
type block struct {
	node   *yaml.Node
	indent string // before the dash
}

// block finds a list. Both are nil when the file does not have it.
func (e *editor) block(name string) (list *block, key *yaml.Node, err error) {
	if !utf8.ValidString(e.text) {
		return nil, nil, e.refuse(nil, "save it as UTF-8", "the file is not in UTF-8")
	}
	e.lines = lineStarts(e.text)
	var doc yaml.Node
	if err := yaml.Load([]byte(e.text), &doc); err != nil || doc.Kind != yaml.DocumentNode || len(doc.Content) == 0 {
		return nil, nil, e.refuse(nil, byHand, "the file has no mapping")
	}
	root := doc.Content[0]
	if root.Style&yaml.FlowStyle != 0 {
		return nil, nil, e.refuse(root, byHand, "the file is in JSON or in flow style")
	}
	for k, v := range pairs(root) {
		if k.Value != name {
			continue
		}
		switch {
		case v.Kind == yaml.AliasNode:
			return nil, nil, e.refuse(v, byHand, "%s is an alias, not a list", name)
		case len(v.Content) == 0: // "stores: []", or nothing
			return nil, k, nil
		case v.Style&yaml.FlowStyle != 0:
			return nil, nil, e.refuse(v, byHand, "%s is a list in brackets", name)
		}
		at := e.offset(v)
		if at < 0 || !strings.HasPrefix(e.text[at:], "-") {
			return nil, nil, e.refuse(v, byHand, "%s has an anchor or a tag", name)
		}
		return &block{v, strings.Repeat(" ", v.Column-1)}, k, nil
	}
	return nil, nil, nil
}

// end returns the end of the last line of stanza i and of the comments in it, and the number of the line behind, from 0.
func (e *editor) end(list string, b *block, i int) (end, line int, ok bool) {
	first, lines := Lines([]byte(e.text), list, i)
	if first == 0 {
		return 0, 0, false
	}
	line = first + len(lines) - 1
	for line < len(e.lines) && strings.HasPrefix(strings.TrimLeft(e.rest(e.lines[line]), " "), "#") && strings.HasPrefix(e.rest(e.lines[line]), b.indent+" ") {
		line++ // it is indented further than the dash
	}
	return e.lines[line-1] + len(e.rest(e.lines[line-1])), line, true
}

// empty matches what may stand behind the key of a list without stanzas.
var empty = regexp.MustCompile(`^:[ \t]*(?:\[[ \t]*\]|null|~)?[ \t]*(#.*)?$`)

// add returns the text with a stanza at place at of its list.
func (e *editor) add(s Stanza, at int) (string, error) {
	b, key, err := e.block(s.List)
	switch {
	case err != nil:
		return "", err
	case b == nil && key == nil: // the file does not have the list
		eol := e.lineEnd(len(e.text))
		before := strings.TrimRight(e.text, "\r\n")
		return before + eol + eol + s.List + ":" + eol + render(s.Text, "  ", eol) + eol, nil
	case b == nil:
		from, to, ok := e.scalar(key)
		if rest := e.rest(max(to, 0)); ok && empty.MatchString(rest) {
			comment := empty.FindStringSubmatch(rest)[1]
			if comment != "" {
				comment = " " + comment
			}
			eol := e.lineEnd(from)
			return e.text[:to] + ":" + comment + eol + render(s.Text, "  ", eol) + e.text[to+len(rest):], nil
		}
		return "", e.refuse(key, byHand, "%s is empty in a way that is not certain", s.List)
	}
	end, _, ok := e.end(s.List, b, at-1)
	if !ok {
		return "", e.refuse(b.node, byHand, "the stanza before has no lines of its own")
	}
	eol := e.lineEnd(end)
	gap := ""
	if top := e.top(b, at-1); top > 0 && strings.TrimSpace(e.rest(e.lines[top-1])) == "" {
		gap = eol // the file has a blank line between stanzas
	}
	return e.text[:end] + eol + gap + render(s.Text, b.indent, eol) + e.text[end:], nil
}

// top returns the number, from 0, of the first line of the comments directly above stanza i.
func (e *editor) top(b *block, i int) int {
	line := b.node.Content[i].Line - 1
	for line > 0 && !strings.HasPrefix(e.rest(e.lines[line]), b.indent+"-") {
		line-- // the dash may stand alone
	}
	for line > 0 && strings.HasPrefix(e.rest(e.lines[line-1]), b.indent+"#") {
		line--
	}
	return line
}

// render returns the lines of a stanza with this indentation before its dash, without the last line end.
func render(text, indent, eol string) string {
	var out []string
	dash := false
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		switch {
		case line == "":
		case dash:
			line = indent + "  " + line
		case strings.HasPrefix(line, "#"):
			line = indent + line
		default:
			line, dash = indent+"- "+line, true
		}
		out = append(out, line)
	}
	return strings.Join(out, eol)
}

// cut returns the text without stanza i of a list.
func (e *editor) cut(list string, i int) (string, error) {
	b, key, err := e.block(list)
	if err != nil {
		return "", err
	}
	if b == nil {
		return "", e.refuse(key, byHand, "%s is not a key of its own in the file: it is merged with <<", list)
	}
	_, behind, ok := e.end(list, b, i)
	if !ok {
		return "", e.refuse(b.node, byHand, "the stanza has no lines of its own")
	}
	top, n := e.top(b, i), len(b.node.Content)
	if i == 0 && n > 1 {
		for strings.HasPrefix(e.rest(e.lines[top]), b.indent+"#") {
			top++
		}
	}
	blank := func(line int) bool {
		return line < len(e.lines) && strings.TrimSpace(e.rest(e.lines[line])) == ""
	}
	if i > 0 && blank(top-1) && (i == n-1 || blank(behind)) {
		top--
	}
	to := len(e.text)
	if behind < len(e.lines) {
		to = e.lines[behind]
	}
	text := e.text[:e.lines[top]] + e.text[to:]
	if n > 1 {
		return text, nil
	}
	_, at, ok := e.scalar(key)
	if !ok || !strings.HasPrefix(e.text[at:], ":") {
		return "", e.refuse(key, byHand, "%s would be empty", list)
	}
	return text[:at+1] + " []" + text[at+1:], nil
}
