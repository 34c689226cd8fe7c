package edit

import (
	"regexp"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v4"

	"ociproxy/internal/config"
)

// insert adds the key to a stanza that does not have it. The new key gets its place behind the key that is next before
// it in the reference, so that files keep the order that people know.
func (e *editor) insert(stanza *yaml.Node) (string, error) {
	order := keyOrder(e.set.List)
	rank := slices.Index(order, e.set.Key)
	var best *sibling
	for k, v := range pairs(stanza) {
		s, ok := e.sibling(stanza, k, v)
		if !ok {
			continue
		}
		if s.rank = slices.Index(order, k.Value); best == nil || nearer(s.rank, best.rank, rank) {
			best = s
		}
	}
	if best == nil {
		return "", e.refuse(stanza, e.byHand(), "the stanza of %s has no line after which the key could stand", e.set.Name)
	}
	if stanza.Style&yaml.FlowStyle != 0 {
		return e.text[:best.end] + ", " + best.quoted(e.set, number(e.set)) + e.text[best.end:], nil
	}
	return e.text[:best.end] + e.lineEnd(best.end) + best.indent + e.set.Key + ": " + e.set.Value + e.text[best.end:], nil
}

// nearer reports whether a key of rank a is a better neighbour for a key of rank want than one of rank b.
func nearer(a, b, want int) bool {
	if (a < want) != (b < want) {
		return a < want
	}
	return a < want == (a > b)
}

// keyOrder lists the keys of the stanzas of a list as the reference does.
func keyOrder(list string) (keys []string) {
	for _, k := range stanzaOf(list).Keys {
		keys = append(keys, k.Name)
	}
	return keys
}

func stanzaOf(list string) config.Stanza {
	for _, s := range config.Describe() {
		if slices.Contains(s.Paths, list+"[]") {
			return s
		}
	}
	return config.Stanza{}
}

// number reports whether JSON writes the value without quotes.
func number(s Set) bool {
	for _, k := range stanzaOf(s.List).Keys {
		if k.Name == s.Key {
			return k.JSON != "string"
		}
	}
	return false
}

// sibling is a key of the stanza after which another one can be inserted.
type sibling struct {
	rank   int
	end    int    // where to insert
	indent string // what comes before the new key, in block style
	json   bool   // the file is JSON here: keys have double quotes
}

// quoted is the new key and its value in the style of a flow mapping.
func (s *sibling) quoted(set Set, number bool) string {
	switch {
	case s.json && number:
		return `"` + set.Key + `": ` + set.Value
	case s.json:
		return `"` + set.Key + `": "` + set.Value + `"`
	}
	return set.Key + ": " + set.Value
}

// These match what may come after the last word of a value that has one line: a comment, or also the end of a list.
var (
	endOfLine = regexp.MustCompile(`^[ \t]*(#.*)?$`)
	bracket   = regexp.MustCompile(`^[ \t]*,?[ \t]*[\]}][ \t]*(#.*)?$`)
)

// sibling returns where a key can be inserted after k and its value v. ok is false when that is not certain.
func (e *editor) sibling(stanza, k, v *yaml.Node) (s *sibling, ok bool) {
	if _, _, ok := e.scalar(k); !ok {
		return nil, false
	}
	last, tail := v, endOfLine
	if stanza.Style&yaml.FlowStyle == 0 && v.Style&yaml.FlowStyle != 0 && len(v.Content) > 0 { // [aws, gcp]
		last, tail = v.Content[len(v.Content)-1], bracket
	}
	_, end, ok := e.scalar(last)
	s = &sibling{end: end, json: k.Style&yaml.DoubleQuotedStyle != 0}
	if stanza.Style&yaml.FlowStyle != 0 || !ok {
		return s, ok
	}
	if k.Line != last.Line || !tail.MatchString(e.rest(end)) {
		return nil, false
	}
	s.indent = strings.Repeat(" ", k.Column-1)
	rest := e.rest(end)
	s.end += len(rest)
	if strings.Contains(rest, "#") {
		s.end = e.comments(k.Line, len(s.indent), s.end)
	}
	return s, true
}

// comments returns the end of the comment that begins beside the value in this line: it may go on in lines that are
// indented further than the key.
func (e *editor) comments(line, indent, end int) int {
	for ; line < len(e.lines); line++ {
		text := e.rest(e.lines[line])
		trimmed := strings.TrimLeft(text, " ")
		if !strings.HasPrefix(trimmed, "#") || len(text)-len(trimmed) <= indent {
			break
		}
		end = e.lines[line] + len(text)
	}
	return end
}
