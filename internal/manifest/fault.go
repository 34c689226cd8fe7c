package manifest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/dustin/go-humanize/english"
)

// Rule names what a fault is about. The names are stable: they stand in the JSON of `promote check`.
type Rule string

// The rules.
const (
	RuleSyntax       Rule = "syntax"         // not YAML, or not one document
	RuleUnreadable   Rule = "unreadable"     // the file cannot be read, or is far too large
	RuleShape        Rule = "shape"          // a list where a word should be, and the like
	RuleUnknownKey   Rule = "unknown-key"    //
	RuleDuplicateKey Rule = "duplicate-key"  // in one mapping
	RuleMissingKey   Rule = "missing-key"    //
	RuleSource       Rule = "source"         // none, or more than one
	RuleDestination  Rule = "destination"    // none, or one named twice
	RuleRegistry     Rule = "registry-name"  //
	RuleImage        Rule = "image-name"     //
	RuleDigest       Rule = "digest"         //
	RuleTag          Rule = "tag"            //
	RuleConflict     Rule = "tag-conflict"   // two digests for one tag of one destination
	RuleSymlink      Rule = "symlink"        // out of the tree
	RuleMisplaced    Rule = "misplaced-file" // a manifest where nobody reads it
	RuleTree         Rule = "no-tree"        // one of the two directories is missing
	RuleNoProject    Rule = "no-project"     // a tree without any project
	RuleDisputed     Rule = "disputed"       // what nobody can read may contradict it; found by [Tree.Hold] only
	RuleHalf         Rule = "half-project"   // warning: one of the two files is not there yet
	RuleEmptyFile    Rule = "empty-file"     // warning: nothing stands in a file of images, not even []
	RuleNothing      Rule = "nothing"        // warning: no image of any project is promoted; [Tree.Hold] refuses that
	RuleUnread       Rule = "unread-file"    // warning: a YAML file that nobody reads, and no manifest
	RuleRepeated     Rule = "repeated"       // warning: the same digest and tag said twice in one file
	RuleRedundant    Rule = "redundant-edge" // warning: two projects promote the same to the same destination
	RuleNested       Rule = "nested"         // warning: an image that lands below another project's destination
)

// warnings are the rules whose breach leaves no doubt about what is to be promoted.
var warnings = []Rule{RuleHalf, RuleEmptyFile, RuleNothing, RuleUnread, RuleRepeated, RuleRedundant, RuleNested}

// Place is a position in a file.
type Place struct {
	File   string `json:"file"`             // as reached from the working directory
	Line   int    `json:"line,omitempty"`   // from 1; 0: the file as a whole
	Column int    `json:"column,omitempty"` // from 1, in characters
}

// String is file:line:column.
func (p Place) String() string {
	if p.Line == 0 {
		return oneLine(p.File)
	}
	return fmt.Sprintf("%s:%d:%d", oneLine(p.File), p.Line, p.Column)
}

// Fault is one error or warning: where it is, what is wrong, and what to do.
type Fault struct {
	Place
	Rule    Rule    `json:"rule"`
	Message string  `json:"message"`
	Hint    string  `json:"hint,omitempty"`
	Also    []Place `json:"also,omitempty"` // the other places of a contradiction or a repetition

	projects []string // those that it holds back; none: a file of no project, or the tree as a whole
}

// about notes that a fault holds back a project.
func (f *Fault) about(project string) {
	if !slices.Contains(f.projects, project) {
		f.projects = append(f.projects, project)
	}
}

// Warning reports whether the manifests can be used in spite of the fault.
func (f *Fault) Warning() bool { return slices.Contains(warnings, f.Rule) }

func isError(f *Fault) bool { return !f.Warning() }

// Error is one line: place: message.
func (f *Fault) Error() string { return f.Place.String() + ": " + f.Message }

// Text is for operators: the line, the other places, the hint.
func (f *Fault) Text() string {
	var b strings.Builder
	b.WriteString(f.Error())
	b.WriteByte('\n')
	for _, p := range f.Also {
		fmt.Fprintf(&b, "    also: %s\n", p)
	}
	if f.Hint != "" {
		fmt.Fprintf(&b, "    hint: %s\n", f.Hint)
	}
	return b.String()
}

// Errors has all errors of a tree or file, in the order of files and lines. It is never empty.
type Errors struct{ List []*Fault }

// Error is every fault with its hint, then their number.
func (e *Errors) Error() string {
	var b strings.Builder
	for _, f := range e.List {
		b.WriteString(f.Text())
	}
	return b.String() + english.Plural(len(e.List), "error", "")
}

// Unwrap gives errors.As the single faults.
func (e *Errors) Unwrap() []error {
	out := make([]error, len(e.List))
	for i, f := range e.List {
		out[i] = f
	}
	return out
}

// byPlace orders by file and place.
func byPlace(a, b *Fault) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}

// sortFaults orders by file and place, and parts errors from warnings.
func sortFaults(all []*Fault) (errs, warns []*Fault) {
	slices.SortStableFunc(all, byPlace)
	for _, f := range all {
		if f.Warning() {
			warns = append(warns, f)
		} else {
			errs = append(errs, f)
		}
	}
	return errs, warns
}

// oneLine is the name of a file or directory as messages show it: one with a line end or the like in quotes.
func oneLine(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(name)
	}
	return name
}

// shorten cuts what a message quotes.
func shorten(s string) string {
	if r := []rune(s); len(r) > 80 {
		return string(r[:77]) + "…"
	}
	return s
}
