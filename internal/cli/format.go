package cli

import (
	"encoding/json"
	"fmt"
	"io"
)

// Format is the form of a command's output and the value of --output.
type Format string

// These are the formats.
const (
	Text Format = "text" // for people; may change
	JSON Format = "json" // for programs; stable
)

// Formats lists the names that --output accepts, for completion.
func Formats() []string { return []string{string(Text), string(JSON)} }

// String returns the name of the format. With Set and Type, it makes *Format a pflag.Value.
func (f *Format) String() string {
	if *f == "" {
		return string(Text)
	}
	return string(*f)
}

// Set accepts "text" and "json".
func (f *Format) Set(s string) error {
	switch Format(s) {
	case Text, JSON:
		*f = Format(s)
		return nil
	}
	return fmt.Errorf("want text or json")
}

// Type returns what --help shows for the value.
func (f *Format) Type() string { return "text|json" }

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
