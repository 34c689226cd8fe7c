package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrOdd says that a list has entries that cannot be requested: invalid names, tags or digests, or entries that are
// not text. The rest of the list is good.
var ErrOdd = errors.New("the registry lists a name, tag or digest that is not valid")

// maxOdd bounds the odd entries of a list that are kept; the others are counted.
const maxOdd = 10

// Odd are the entries of a list that cannot be requested.
type Odd struct {
	First []string // fit for a message
	Count int      // all
}

// Err names them; nil: there are none.
func (o *Odd) Err() error {
	if o.Count == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrOdd, o)
}

// String names the first ones, and counts the others.
func (o *Odd) String() string {
	text := strings.Join(o.First, ", ")
	if more := o.Count - len(o.First); more > 0 {
		text = fmt.Sprintf("%s and %d more", text, more)
	}
	return text
}

func (o *Odd) add(kind, text string) {
	o.Count++
	if len(o.First) < maxOdd {
		o.First = append(o.First, fmt.Sprintf("%s %q", kind, clean(text)))
	}
}

// texts is a list of texts in JSON. What is none stands in it as it is written, which is no name.
type texts []string

// UnmarshalJSON implements [json.Unmarshaler].
func (t *texts) UnmarshalJSON(raw []byte) error {
	var all []string
	if err := json.Unmarshal(raw, &all); err == nil && !slices.Contains(all, "") { // which null would be
		*t = all
		return nil
	}
	var each []json.RawMessage
	if err := json.Unmarshal(raw, &each); err != nil {
		return err
	}
	if each == nil {
		*t = nil
		return nil
	}
	*t = make(texts, len(each))
	for i, one := range each {
		if string(one) == "null" || json.Unmarshal(one, &(*t)[i]) != nil {
			(*t)[i] = "(" + string(one[:min(len(one), 4*maxErrorText)]) + ")" // no name begins so
		}
	}
	return nil
}

// TornError is a manifest of which some entries cannot be followed, because their digests or sizes are invalid. Or
// none can be followed, since it is no manifest at all. It is an [ErrInvalid].
type TornError struct {
	Rest *Manifest // with the entries that can; its digest and size are known in any case
	err  error
}

// Error implements error.
func (e *TornError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *TornError) Unwrap() error { return e.err }
