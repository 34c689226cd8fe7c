package cli

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/dustin/go-humanize/english"
)

// Format is the form of a command's output and the value of --output.
type Format string

// These are the formats.
const (
	Text Format = "text" // for people; may change
	JSON Format = "json" // for programs; stable

	// Only some commands have these.
	JUnit    Format = "junit"    // for CI systems: XML in the form of JUnit's reports
	Markdown Format = "markdown" // for comments on pull requests; may change
)

// Formats lists the formats that every command has.
func Formats() []string { return []string{string(Text), string(JSON)} }

// String returns the name of the format. With Set and Type, it makes *Format a pflag.Value.
func (f *Format) String() string {
	if *f == "" {
		return string(Text)
	}
	return string(*f)
}

// Set accepts "text" and "json".
func (f *Format) Set(s string) error { return f.set(s, Formats()) }

func (f *Format) set(s string, accepted []string) error {
	if !slices.Contains(accepted, s) {
		return errors.New("want " + english.WordSeries(accepted, "or"))
	}
	*f = Format(s)
	return nil
}

// Type returns what --help shows for the value.
func (f *Format) Type() string { return "text|json" }

// wider is a Format of a command that has more formats than the others.
type wider struct {
	*Format
	more []string
}

// Set accepts the formats of every command and those of this one.
func (w wider) Set(s string) error { return w.set(s, append(Formats(), w.more...)) }

func (w wider) usage() string {
	return strings.Replace(outputUsage, "text or json", english.WordSeries(append(Formats(), w.more...), "or"), 1)
}

// WriteJSON writes v indented, with a final newline, and does not escape < > &.
func WriteJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// WriteJSONLine writes v on one line.
func WriteJSONLine(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
