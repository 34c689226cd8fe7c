package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	yaml "go.yaml.in/yaml/v4"
)

// MaxBytes is the largest file of manifests that is read: sixteen times the largest images.yaml in use.
const MaxBytes = 16 << 20

// parser reads one file.
type parser struct {
	file   string
	faults []*Fault
}

// remedies are the hints about what has no better one.
var remedies = map[Rule]string{
	RuleSyntax:     "a YAML editor shows what is not closed or is indented differently, there or above",
	RuleShape:      "promote schema prints what is allowed where",
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
		p.add(RuleSyntax, line, column, "save the file as UTF-8 text", "not YAML: the byte %#02x is not text", data[at])
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

// conflict are the marks that git leaves where it cannot merge.
var conflict = regexp.MustCompile(`(?m)^(<<<<<<<|>>>>>>>) `)

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
	if conflict.Match(data) {
		hint = "a merge of git left its marks in the file (<<<<<<<, =======, >>>>>>>): decide what stays"
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
