package edit

import (
	"regexp"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// lineBreak matches what the YAML library counts as the end of a line.
var lineBreak = regexp.MustCompile("\r\n|[\r\n\u0085\u2028\u2029]")

// lineStarts returns the offset of each line.
func lineStarts(text string) []int {
	starts := []int{0}
	for _, at := range lineBreak.FindAllStringIndex(text, -1) {
		starts = append(starts, at[1])
	}
	return starts
}

// offset returns where a node begins. The library counts characters, and not a byte-order mark. -1: it is not there.
func (e *editor) offset(n *yaml.Node) int {
	if n.Line < 1 || n.Line > len(e.lines) || n.Column < 1 {
		return -1
	}
	at := e.lines[n.Line-1]
	if n.Line == 1 && strings.HasPrefix(e.text, "\ufeff") {
		at += len("\ufeff")
	}
	left := n.Column - 1
	for i := range e.text[at:] {
		if left == 0 {
			return at + i
		}
		left--
	}
	if left == 0 {
		return len(e.text)
	}
	return -1
}

// rest returns the text from at to the end of its line.
func (e *editor) rest(at int) string {
	if end := lineBreak.FindStringIndex(e.text[at:]); end != nil {
		return e.text[at : at+end[0]]
	}
	return e.text[at:]
}

// lineEnd returns the end of the line around at as the file writes it: that of the line, or of the one before the last.
func (e *editor) lineEnd(at int) string {
	if end := lineBreak.FindString(e.text[at:]); end != "" {
		return end
	}
	if ends := lineBreak.FindAllString(e.text, -1); ends != nil {
		return ends[len(ends)-1]
	}
	return "\n"
}

// Lines returns the lines of a valid config file that have stanza i of a list, and the number of the first one, from 1.
// Comments above the stanza are not part of it, and neither are blank lines and comments below it. It returns 0, nil
// when the stanza has no lines of its own.
func Lines(text []byte, list string, i int) (first int, lines []string) {
	e := editor{text: string(text)}
	var doc yaml.Node
	if err := yaml.Load(text, &doc); err != nil || doc.Kind != yaml.DocumentNode || len(doc.Content) == 0 {
		return 0, nil
	}
	stanzas := own(doc.Content[0], list)
	if stanzas == nil || stanzas.Kind != yaml.SequenceNode || i >= len(stanzas.Content) {
		return 0, nil
	}
	e.lines = lineStarts(e.text)
	first, last := stanzas.Content[i].Line, len(e.lines)
	if i+1 < len(stanzas.Content) {
		last = stanzas.Content[i+1].Line - 1
	} else if next := after(doc.Content[0], stanzas); next != nil {
		last = next.Line - 1
	}
	for n := first; n <= max(first, last) && n <= len(e.lines); n++ {
		lines = append(lines, e.rest(e.lines[n-1]))
	}
	for len(lines) > 1 {
		line := strings.TrimSpace(lines[len(lines)-1])
		if line != "" && line[0] != '#' && line != "---" && line != "..." {
			break
		}
		lines = lines[:len(lines)-1]
	}
	return first, lines
}

// after returns the key behind a value of a mapping; nil: it is the last one.
func after(mapping, value *yaml.Node) (next *yaml.Node) {
	found := false
	for k, v := range pairs(mapping) {
		if found {
			return k
		}
		found = v == value
	}
	return nil
}
