package config

import (
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"
)

// field is one key of a mapping in the file.
type field struct {
	key      string
	index    int // of the struct's field
	required bool
	hint     string // what to say when a required key is missing
}

// fieldsOf lists the keys of a struct in the order they are declared. A struct of another package needs no tags: its
// keys are its fields' names with a small first letter.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("yaml")
		if !f.IsExported() || key == "-" {
			continue
		}
		if key == "" {
			r, n := utf8.DecodeRuneInString(f.Name)
			key = string(unicode.ToLower(r)) + f.Name[n:]
		}
		out = append(out, field{
			key: key, index: i,
			required: strings.Contains(f.Tag.Get("rule"), "required"),
			hint:     f.Tag.Get("hint"),
		})
	}
	return out
}
