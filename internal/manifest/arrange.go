package manifest

import (
	"bytes"
	"strings"
)

// write puts rows and comments together. A comment behind something stays behind it; one on its own line stays before what
// it stood before, indented like that, or like what it stood after when it was indented as far.
func (f *formatter) write() []byte {
	f.extents()
	f.spread()
	f.extents()
	var w writer
	next := 0 // the first comment not yet written
	var last row
	for i, r := range f.rows {
		before, behind := f.around(next, i)
		next += len(before) + len(behind)
		for _, c := range before {
			w.line(indentOf(c, last, r.indent, i > 0), c.text, f.blankBefore(c.line))
		}
		text := r.text
		for _, c := range behind {
			text += "  " + c.text
		}
		w.line(r.indent, text, !r.tight && f.blankBefore(r.at))
		last = r
	}
	for _, c := range f.comments[next:] {
		w.line(indentOf(c, last, 0, len(f.rows) > 0), c.text, f.blankBefore(c.line))
	}
	return w.Bytes()
}

// around are the comments, from number next on, that belong before row i, and the one that belongs behind it. Those that stand
// alone below where the row begins are left to the next row, unless one behind it comes later: their order is kept.
func (f *formatter) around(next, i int) (before, behind []comment) {
	r, limit := f.rows[i], len(f.content)
	if i+1 < len(f.rows) {
		limit = f.rows[i+1].at
	}
	above, through := next, next
	for n := next; n < len(f.comments) && f.comments[n].line <= r.end && f.comments[n].line < limit; n++ {
		switch c := f.comments[n]; {
		case !c.own:
			through = n + 1
		case c.line < r.at:
			above = n + 1
		}
	}
	if through == next {
		return f.comments[next:above], nil
	}
	return f.comments[next : through-1], f.comments[through-1 : through]
}

// extents finds the last line of each row: the last one with content before the next row begins.
func (f *formatter) extents() {
	for i := range f.rows {
		r := &f.rows[i]
		r.end = r.at
		limit := len(f.content)
		if i+1 < len(f.rows) {
			limit = f.rows[i+1].at
		}
		for n := limit - 1; n > r.at; n-- {
			if f.content[n] {
				r.end = n
				break
			}
		}
	}
}

// spread completes the rows of digests: tags go behind their digest, or below it when comments stand between them.
func (f *formatter) spread() {
	var out []row
	next := 0
	for _, r := range f.rows {
		for next < len(f.comments) && f.comments[next].line < r.at {
			next++
		}
		if r.indent != 4 {
			out = append(out, r)
			continue
		}
		var within []comment
		for n := next; n < len(f.comments) && f.comments[n].line <= r.end; n++ {
			if c := f.comments[n]; !c.own || len(r.tags) > 0 && c.line <= r.tags[len(r.tags)-1].Line {
				within = append(within, c)
			}
		}
		if len(r.tags) == 0 || len(within) == 0 || len(within) == 1 && f.behind(within[0], r) {
			words := make([]string, len(r.tags))
			for i, t := range r.tags {
				words[i] = quote(resolve(t).Value)
			}
			r.text += " [" + strings.Join(words, ", ") + "]"
			out = append(out, r)
			continue
		}
		out = append(out, r)
		for _, t := range r.tags {
			out = append(out, row{at: t.Line, indent: 6, level: 6, columns: r.columns, text: "- " + quote(resolve(t).Value), tight: true})
		}
	}
	f.rows = out
}

// behind: the comment is about the digest as a whole.
func (f *formatter) behind(c comment, r row) bool {
	return !c.own && (c.line >= r.tags[len(r.tags)-1].Line || c.line == r.at && r.tags[0].Line > r.at)
}

// indentOf a comment between the row last and one with the indentation next.
func indentOf(c comment, last row, next int, after bool) int {
	if after {
		for level := last.level; level > next; level -= 2 {
			if at := last.columns[level/2]; c.column >= at && at > last.columns[level/2-1] {
				return level
			}
		}
	}
	return next
}

func (f *formatter) blankBefore(line int) bool { return line > 1 && f.blank[line-1] }

// writer collects lines.
type writer struct{ bytes.Buffer }

func (w *writer) line(indent int, text string, blank bool) {
	if blank && w.Len() > 0 {
		w.WriteByte('\n')
	}
	for range indent {
		w.WriteByte(' ')
	}
	w.WriteString(text)
	w.WriteByte('\n')
}
