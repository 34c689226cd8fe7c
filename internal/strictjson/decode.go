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

// ErrKey is wrapped by the error of a document whose keys other readers would understand in another way.
var ErrKey = errors.New("ambiguous key")

// loose reads as encoding/json does; exact compares keys exactly and takes none twice; closed takes none that no field has.
var (
	loose  = jsonv1.DefaultOptionsV1()
	exact  = json.JoinOptions(loose, json.MatchCaseInsensitiveNames(false), jsontext.AllowDuplicateNames(false), jsonv1.ReportErrorsWithLegacySemantics(false))
	closed = json.JoinOptions(exact, json.RejectUnknownMembers(true))
)

// Unmarshal is encoding/json's Unmarshal within bounds, into the zero value that v points to. A key that comes twice, and one that
// a reader who does not mind its case would take for a field's and so read something else, wrap [ErrKey]. Other keys
// that no field has are ignored. The error of what is no JSON says at which byte. After an error v may be filled in part.
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

// UnmarshalClosed is [Unmarshal] for documents that have no keys but those of fields; another one is an error.
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

// Read reads all of r, and its text as [Unmarshal] does.
func Read(r io.Reader, v any, most Bounds) error {
	text, err := io.ReadAll(NewReader(r, most))
	if err != nil {
		return err
	}
	return Unmarshal(text, v, most)
}
