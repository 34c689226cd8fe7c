package config

import (
	"fmt"
	"sort"
	"strings"

	"github.com/dustin/go-humanize/english"
)

// Error is one fault or warning, with where it is and what to do about it.
type Error struct {
	File    string `json:"file"`
	Line    int    `json:"line"`           // from 1; 0 when the fault has no place in the file
	Column  int    `json:"column"`         // from 1, in characters
	Path    string `json:"path,omitempty"` // such as stores[3].url
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`    // what to do; may be empty
	Excerpt string `json:"excerpt,omitempty"` // the source line and a caret under the column; may be empty
}

// Error is one line: file:line:column: path: message.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	b.WriteString(": ")
	if e.Path != "" {
		b.WriteString(e.Path)
		b.WriteString(": ")
	}
	b.WriteString(e.Message)
	return b.String()
}

// Text is the one line, the excerpt and the hint, for a person.
func (e *Error) Text() string {
	s := e.Error() + "\n"
	if e.Excerpt != "" {
		s += e.Excerpt + "\n"
	}
	if e.Hint != "" {
		s += "    hint: " + e.Hint + "\n"
	}
	return s
}

// Errors is every fault of one file, in line order. It is never empty.
type Errors struct {
	List []*Error
}

// Error is every fault with excerpt and hint, then their number.
func (e *Errors) Error() string {
	var b strings.Builder
	for _, f := range e.List {
		b.WriteString(f.Text())
	}
	fmt.Fprintf(&b, "%s: %s", e.List[0].File, english.Plural(len(e.List), "error", ""))
	return b.String()
}

// Unwrap gives errors.Is and errors.As the single faults.
func (e *Errors) Unwrap() []error {
	out := make([]error, len(e.List))
	for i, f := range e.List {
		out[i] = f
	}
	return out
}

// sorted orders faults by line, then column, and drops exact repeats (two rules may find the same fault).
func sorted(list []*Error) []*Error {
	sort.SliceStable(list, func(i, j int) bool {
		a, b := list[i], list[j]
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
	out := list[:0]
	for _, e := range list {
		if len(out) > 0 && *e == *out[len(out)-1] {
			continue
		}
		out = append(out, e)
	}
	return out
}
