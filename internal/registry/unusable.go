package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrUnusable says that a list has entries that cannot be requested: invalid names, tags or digests, or entries that
// are not text. The rest of the list is valid.
var ErrUnusable = errors.New("the registry lists a name, tag or digest that is not valid")

// maxUnusable bounds how many invalid entries of a list are kept. The other invalid entries are only counted.
const maxUnusable = 10

// Unusable has the entries of a list that cannot be requested.
type Unusable struct {
	First []string // ready for a message
	Count int      // of all such entries
}

// Err returns an error that names the entries, or nil when there are none.
func (o *Unusable) Err() error {
	if o.Count == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrUnusable, o)
}

// String names the first entries, and gives the number of the others.
func (o *Unusable) String() string {
	text := strings.Join(o.First, ", ")
	if more := o.Count - len(o.First); more > 0 {
		text = fmt.Sprintf("%s and %d more", text, more)
	}
	return text
}

func (o *Unusable) add(kind, text string) {
	o.Count++
	if len(o.First) < maxUnusable {
		o.First = append(o.First, fmt.Sprintf("%s %q", kind, clean(text)))
	}
}

// texts is a list of texts in JSON. An entry that is not text stands in the list as written, in parentheses, which
// makes it an invalid name.
type texts []string

// UnmarshalJSON implements [json.Unmarshaler].
func (t *texts) UnmarshalJSON(raw []byte) error {
	var all []string
	if err := json.Unmarshal(raw, &all); err == nil && !slices.Contains(all, "") { // null decodes to ""
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
			(*t)[i] = "(" + string(one[:min(len(one), 4*maxErrorText)]) + ")" // no valid name begins with a parenthesis
		}
	}
	return nil
}

// TornError is the error for a manifest with entries that cannot be followed, because their digests or sizes are
// invalid. It is also the error for content that is not a manifest: then no entry can be followed. It is an
// [ErrInvalid].
type TornError struct {
	Rest *Manifest // has the entries that can be followed; its digest and size are always known
	err  error
}

// Error implements error.
func (e *TornError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *TornError) Unwrap() error { return e.err }
