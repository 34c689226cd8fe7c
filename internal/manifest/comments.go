package manifest

import (
	"fmt"
	"strings"
)

// comment is a comment of a file, as a formatter sees it.
type comment struct {
	line, column int // from 1
	text         string
	own          bool // nothing else stands on its line
}

// layout is what a file's text has besides its values.
type layout struct {
	comments []comment
	content  []bool // by line: something but a comment stands there; index 0 is unused
	blank    []bool // by line
	marker   int    // the line of `---`; 0: none
}

// scan finds the comments of a YAML file whose words are short: quotes close on the line they open on.
func scan(text string) (*layout, error) {
	l := &layout{content: []bool{false}, blank: []bool{false}}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, " \t\r\n")
		l.blank = append(l.blank, line == "")
		l.content = append(l.content, false)
		i := 0
		switch {
		case strings.HasPrefix(line, "%"), strings.HasPrefix(line, "..."):
			return nil, fmt.Errorf("line %d: directives and document ends cannot be kept", n)
		case line == "---" || strings.HasPrefix(line, "--- "):
			l.marker, l.content[n], i = n, true, 3
		}
		for i < len(line) {
			switch c := line[i]; {
			case c == ' ' || c == '\t':
				i++
			case c == '#' && (i == 0 || strings.IndexByte(" \t[{,", line[i-1]) >= 0):
				column := len([]rune(line[:i])) + 1
				l.comments = append(l.comments, comment{n, column, line[i:], !l.content[n]})
				i = len(line)
			case c == '"' || c == '\'':
				end := quoted(line[i:])
				if end < 0 {
					return nil, fmt.Errorf("line %d: a quoted word goes over several lines", n)
				}
				l.content[n] = true
				if i += end; i < len(line) && line[i] == ':' {
					i++
				}
			default:
				l.content[n] = true
				i += plain(line[i:])
			}
		}
	}
	return l, nil
}

// quoted is the length of the quoted word that s begins with; -1 when it does not end.
func quoted(s string) int {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && s[0] == '"':
			i++
		case s[i] == s[0] && s[0] == '\'' && i+1 < len(s) && s[i+1] == '\'':
			i++
		case s[i] == s[0]:
			return i + 1
		}
	}
	return -1
}

// plain is the length of what s begins with up to the next blank or flow indicator, but at least 1.
func plain(s string) int {
	if n := strings.IndexAny(s[1:], " \t[]{},"); n >= 0 && strings.IndexByte("[]{},", s[0]) < 0 {
		return n + 1
	} else if n < 0 && strings.IndexByte("[]{},", s[0]) < 0 {
		return len(s)
	}
	return 1
}
