package config

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// source is the text being read and the faults found in it.
type source struct {
	file   string
	lines  []string
	faults []*Error
}

func newSource(file string, data []byte) source {
	return source{file: file, lines: strings.Split(string(data), "\n")}
}

// add completes a fault with its file and excerpt. A fault without a position is about the file as a whole: line 1.
func (s *source) add(e *Error) {
	s.faults = append(s.faults, s.locate(e))
}

func (s *source) locate(e *Error) *Error {
	e.File = s.file
	e.Line = min(max(e.Line, 1), len(s.lines))
	e.Column = max(e.Column, 1)
	e.Excerpt = s.excerpt(e.Line, e.Column)
	return e
}

// secret finds what may be a password or a signature inside a URL, and an ed25519 private key in PKCS #8.
var secret = regexp.MustCompile(`(?i)(://)([^/\s"']*)(@)|([?&](?:` + strings.Join(secretParameters, "|") + `)=)([^&\s"']*)()` +
	`|(MC4CAQAwBQYDK2Vw)([^\s"'}]*)`)

// mask blots secrets out, character by character: faults are logged, and columns must stay.
func mask(line string) string {
	return secret.ReplaceAllStringFunc(line, func(m string) string {
		g := secret.FindStringSubmatch(m)
		return g[1] + g[4] + g[7] + strings.Repeat("*", utf8.RuneCountInString(g[2]+g[5]+g[8])) + g[3]
	})
}

// excerpt shows a line with a caret under the column. A long line is cut around it, and what cannot be printed is
// shown as a dot, so that a caret stands where it should and a terminal obeys nothing that a file says.
func (s *source) excerpt(line, column int) string {
	if line > len(s.lines) {
		return ""
	}
	const width = 110
	text := []rune(mask(strings.TrimRight(s.lines[line-1], "\r")))
	if strings.TrimSpace(string(text)) == "" {
		return ""
	}
	for i, r := range text {
		switch {
		case r == '\t':
			text[i] = ' '
		case !unicode.IsPrint(r):
			text[i] = '·'
		}
	}
	caret := min(column-1, len(text))
	if len(text) > width {
		from := min(max(caret-width/3, 0), len(text)-width)
		text = text[from : from+width]
		caret -= from
		if from > 0 {
			text[0] = '…'
		}
	}
	return fmt.Sprintf("%5d | %s\n      | %s^", line, strings.TrimRight(string(text), " "), strings.Repeat(" ", caret))
}
