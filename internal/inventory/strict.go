package inventory

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// shape is which keys a JSON object may have, and of which shape the objects below each of them are; nil: there are none.
type shape map[string]shape

// decode reads one JSON value into v and takes nothing that two readers may understand differently: keys count exactly as they
// are written (encoding/json alone would take any case), each once (it would take the last), null is no value, and nothing
// follows.
func decode(body []byte, keys shape, v any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := keys.check(d); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows it")
	}
	return json.Unmarshal(body, v)
}

// check reads the next value and compares its keys, and those below. It goes no deeper than the shape does; a list has no lists.
func (s shape) check(d *json.Decoder) error {
	token, err := d.Token()
	if err == nil && token == json.Delim('[') {
		return s.checkList(d)
	}
	return s.checkFrom(d, token, err)
}

func (s shape) checkList(d *json.Decoder) error {
	for d.More() {
		token, err := d.Token()
		if err := s.checkFrom(d, token, err); err != nil {
			return err
		}
	}
	_, err := d.Token() // the closing bracket
	return err
}

// checkFrom reads what token begins, which is no list.
func (s shape) checkFrom(d *json.Decoder, token json.Token, err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	case token == nil:
		return errors.New("null")
	case token == json.Delim('['):
		return errors.New("a list in a list")
	case token == json.Delim('{'):
		return s.checkObject(d)
	}
	return nil
}

func (s shape) checkObject(d *json.Decoder) error {
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return err
		}
		key, _ := token.(string) // the decoder takes no other
		below, known := s[key]
		if !known {
			return fmt.Errorf("unknown field %.80q", key)
		}
		if seen[key] {
			return fmt.Errorf("%.80q: twice", key)
		}
		seen[key] = true
		if err := below.check(d); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	_, err := d.Token() // the closing brace
	return err
}
