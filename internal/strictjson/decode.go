package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// ErrKey is wrapped by the error of a document whose keys other readers would understand in another way.
var ErrKey = errors.New("ambiguous key")

// Unmarshal is [json.Unmarshal] within bounds. In what becomes a struct, a key that differs from a field's in case only, and a key
// that comes twice, wrap [ErrKey]; keys that no field has are ignored, whatever is below them. After an error v may be filled in
// part.
func Unmarshal(text []byte, v any, most Bounds) error {
	m := meter{most: most.filled()}
	if _, err := m.take(text); err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return err
	}
	w := walker{json.NewDecoder(bytes.NewReader(text))}
	return w.value(reflect.TypeOf(v))
}

// Read reads all of r, and its text as [Unmarshal] does.
func Read(r io.Reader, v any, most Bounds) error {
	text, err := io.ReadAll(NewReader(r, most))
	if err != nil {
		return err
	}
	return Unmarshal(text, v, most)
}

// walker compares the keys of a valid document of bounded depth with those of the type that it became.
type walker struct{ *json.Decoder }

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// value passes over one value, which became a t; nil: something whose keys do not matter.
func (w walker) value(t reflect.Type) error {
	for t != nil && t.Kind() == reflect.Pointer && !t.Implements(unmarshaler) {
		t = t.Elem()
	}
	if t != nil && (t.Implements(unmarshaler) || reflect.PointerTo(t).Implements(unmarshaler)) {
		t = nil // it has its own way of reading
	}
	kind := reflect.Invalid
	if t != nil {
		kind = t.Kind()
	}
	switch kind {
	case reflect.Struct, reflect.Map, reflect.Slice, reflect.Array:
	default:
		var skipped json.RawMessage
		return w.Decode(&skipped)
	}
	open, err := w.Token()
	if err != nil {
		return err
	}
	switch open {
	case json.Delim('{'):
		if kind == reflect.Struct {
			err = w.object(fieldsOf(t))
		} else {
			err = w.members(t.Elem())
		}
	case json.Delim('['):
		for w.More() && err == nil {
			err = w.value(t.Elem())
		}
	default:
		return nil // null
	}
	if err == nil {
		_, err = w.Token()
	}
	return err
}

// members passes over an object that became a map.
func (w walker) members(elem reflect.Type) error {
	for w.More() {
		if _, err := w.Token(); err != nil {
			return err
		}
		if err := w.value(elem); err != nil {
			return err
		}
	}
	return nil
}

// object passes over an object that became a struct.
func (w walker) object(fields map[string]reflect.Type) error {
	seen := map[string]bool{}
	for w.More() {
		token, err := w.Token()
		if err != nil {
			return err
		}
		key, _ := token.(string)
		t, known := fields[key]
		if !known {
			for name := range fields {
				if strings.EqualFold(name, key) {
					return fmt.Errorf("%w: %.100q instead of %q", ErrKey, key, name)
				}
			}
		} else if seen[key] {
			return fmt.Errorf("%w: %q comes twice", ErrKey, key)
		}
		if known {
			seen[key] = true
		}
		if err := w.value(t); err != nil {
			return err
		}
	}
	return nil
}

// fieldsOf returns the keys of a struct as encoding/json reads them, with the types of their fields. Of embedded structs without a
// name, the fields are its own.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		embedded := f.Type
		if embedded.Kind() == reflect.Pointer {
			embedded = embedded.Elem()
		}
		switch {
		case f.Tag.Get("json") == "-":
		case f.Anonymous && name == "" && embedded.Kind() == reflect.Struct:
			for inner, t := range fieldsOf(embedded) {
				if _, ok := fields[inner]; !ok {
					fields[inner] = t
				}
			}
		case !f.IsExported():
		case name == "":
			fields[f.Name] = f.Type
		default:
			fields[name] = f.Type
		}
	}
	return fields
}
