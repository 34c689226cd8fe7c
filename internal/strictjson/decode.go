package strictjson

import (
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// ErrKey is wrapped by the error of a document whose keys other readers would understand differently.
var ErrKey = errors.New("ambiguous key")

// loose reads as encoding/json does. exact compares keys exactly and rejects duplicates. closed also rejects keys
// without a field.
var (
	loose  = jsonv1.DefaultOptionsV1()
	exact  = json.JoinOptions(loose, json.MatchCaseInsensitiveNames(false), jsontext.AllowDuplicateNames(false), jsonv1.ReportErrorsWithLegacySemantics(false))
	closed = json.JoinOptions(exact, json.RejectUnknownMembers(true))
)

// Unmarshal works like encoding/json's Unmarshal, within bounds, into the zero value that v points to. Two kinds of
// keys give an error that wraps [ErrKey]: a duplicate key, and a key that differs from a field's name only in case,
// if a case-insensitive reader would read another value because of it. Other keys without a field are ignored. If the
// text is not JSON, the error says at which byte. After an error, v may be partly filled.
func Unmarshal(text []byte, v any, most Bounds) error {
	if err := decode(text, v, most, exact); err != nil {
		return err
	}
	other := reflect.New(reflect.TypeOf(v).Elem()).Interface()
	if err := json.Unmarshal(text, other, loose); err != nil || !reflect.DeepEqual(v, other) {
		return fmt.Errorf("%w: one is a field's in another case", ErrKey)
	}
	return nil
}

// UnmarshalClosed is [Unmarshal] for documents that have only the keys of fields. Any other key is an error.
func UnmarshalClosed(text []byte, v any, most Bounds) error { return decode(text, v, most, closed) }

func decode(text []byte, v any, most Bounds, how json.Options) error {
	m := meter{most: most.filled()}
	if _, err := m.take(text); err != nil {
		return err
	}
	err := json.Unmarshal(text, v, how)
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return fmt.Errorf("%w: %w", ErrKey, err)
	}
	if s, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Errorf("not JSON at byte %d: %w", s.ByteOffset, err)
	}
	return err
}

// Read reads all of r, and parses its text as [Unmarshal] does.
func Read(r io.Reader, v any, most Bounds) error {
	text, err := io.ReadAll(NewReader(r, most))
	if err != nil {
		return err
	}
	return Unmarshal(text, v, most)
}
