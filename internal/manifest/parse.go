package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	yaml "go.yaml.in/yaml/v4"
)

// maxBytes is sixteen times the largest images.yaml in use.
const maxBytes = 16 << 20

// parser reads one file.
type parser struct {
	file   string
	faults []*Fault
}

// remedies are the hints about what has no better one.
var remedies = map[Rule]string{
	RuleSyntax:     "an editor that knows YAML shows what is not closed, or indented otherwise, there or above",
	RuleShape:      "promote schema prints what may stand where",
	RuleMissingKey: "add it; promote schema prints what there may be",
	RuleUnreadable: "split the project",
	RuleImage:      "shorten the name of the image, or the path of the destination",
}

func (p *parser) add(rule Rule, line, column int, hint, format string, args ...any) {
	if hint == "" {
		hint = remedies[rule]
	}
	p.faults = append(p.faults, &Fault{Place: Place{p.file, line, column}, Rule: rule, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (p *parser) fault(n *yaml.Node, rule Rule, hint, format string, args ...any) {
	p.add(rule, n.Line, n.Column, hint, format, args...)
}

// also adds the other place to the fault reported last.
func (p *parser) also(other Place) {
	f := p.faults[len(p.faults)-1]
	f.Also = append(f.Also, other)
}

// document returns the file's top node; nil when there is none, which is reported unless empty is allowed.
func (p *parser) document(data []byte, empty bool) *yaml.Node {
	var doc yaml.Node
	if at := notText(data); at >= 0 {
		before := data[:at]
		line := bytes.Count(before, []byte("\n")) + 1
		column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
		p.add(RuleSyntax, line, column, "save the file as UTF-8 text", "not YAML: the byte %#02x is no text", data[at])
		return nil
	}
	if err := yaml.Load(data, &doc); err != nil {
		p.syntax(data, err, empty)
		return nil
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) == 0 {
		return nil
	}
	return doc.Content[0]
}

// notText is where the first byte is that is neither UTF-8 nor allowed in YAML (1.2, section 5.1); -1: there is none.
// UTF-16, which YAML allows, begins with a mark.
func notText(data []byte) int {
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return -1
	}
	for i := 0; i < len(data); {
		if c := data[i]; c < utf8.RuneSelf {
			if c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0x7f {
				return i
			}
			i++
			continue
		}
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// syntax translates the library's error.
func (p *parser) syntax(data []byte, err error, empty bool) {
	var one *yaml.LoadError
	var many *yaml.LoadErrors
	if errors.As(err, &many) && len(many.Errors) > 0 {
		one = many.Errors[0]
	} else if !errors.As(err, &one) {
		p.add(RuleSyntax, 1, 1, "", "not YAML: %s", err)
		return
	}
	switch {
	case strings.Contains(one.Message, "no documents"):
		if !empty {
			p.add(RuleMissingKey, 1, 1, "begin with `registries:`", "the file is empty")
		}
		return
	case strings.Contains(one.Message, "single document"):
		p.add(RuleSyntax, secondDocument(data), 1, "a file holds one document: remove the `---` between them", "a second document begins here")
		return
	}
	message, hint := "not YAML: "+one.Message, ""
	if one.ContextMsg != "" {
		message += " (" + one.ContextMsg
		if l := one.ContextMark.Line; l > 0 && l != one.Mark.Line {
			message += fmt.Sprintf(" that begins in line %d", l)
		}
		message += ")"
	}
	if lines := strings.SplitN(string(data), "\n", one.Mark.Line+1); one.Mark.Line > 0 && one.Mark.Line <= len(lines) &&
		strings.Contains(lines[one.Mark.Line-1], "\t") {
		hint = "indent with spaces: YAML has no tabs"
	}
	p.add(RuleSyntax, max(1, one.Mark.Line), max(1, one.Mark.Column), hint, "%s", message)
}

// secondDocument is the line of the marker in front of it; the library does not say.
func secondDocument(data []byte) int {
	content, n := false, 0
	for line := range strings.Lines(string(data)) {
		n++
		if content && strings.HasPrefix(line, "---") {
			return n
		}
		content = content || strings.TrimSpace(line) != "" && line[0] != '#' && line[0] != '%'
	}
	return 1
}

// word returns the scalar that n is. What it says is its spelling: 1.20 is not 1.2, on is not true.
func (p *parser) word(n *yaml.Node, what string) (string, bool) {
	at := n
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.ScalarNode && !isNull(n) {
		return n.Value, true
	}
	p.fault(at, RuleShape, "", "expected %s, found %s", what, kindName(n))
	return "", false
}

// container returns the list or mapping that n is; false when it is something else, which is reported, or nothing.
func (p *parser) container(n *yaml.Node, kind yaml.Kind, what string) bool {
	switch {
	case n.Kind == kind:
		return true
	case n.Kind == yaml.AliasNode && n.Alias.Kind != yaml.ScalarNode:
		// Each use of an alias repeats what it stands for: a small file could say more than memory holds.
		p.fault(n, RuleShape, "write it out", "an alias can stand for a word only")
	case n.Kind == yaml.ScalarNode && isNull(n):
	default:
		p.fault(n, RuleShape, "", "expected %s, found %s", what, kindName(n))
	}
	return false
}

// keys calls yield for each key of a mapping that is a word, the first of each spelling.
func (p *parser) keys(n *yaml.Node, duplicateHint string, yield func(name string, key, value *yaml.Node)) {
	seen := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		name, ok := p.word(k, "a key")
		if !ok {
			continue
		}
		if line, dup := seen[name]; dup {
			p.fault(k, RuleDuplicateKey, duplicateHint, "duplicate key %q: it stands in line %d already", shorten(name), line)
			continue
		}
		seen[name] = k.Line
		yield(name, k, n.Content[i+1])
	}
}

func isNull(n *yaml.Node) bool {
	return n.Style == 0 && (n.Value == "" || n.Value == "~") && n.ShortTag() == "!!null"
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return kindName(n.Alias)
	default:
		if isNull(n) {
			return "nothing"
		}
		return fmt.Sprintf("%q", shorten(n.Value))
	}
}
