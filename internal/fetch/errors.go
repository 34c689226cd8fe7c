package fetch

import (
	"errors"
	"fmt"
	"net/http"
)

// These are the faults of a document that are found before its meaning is checked.
var (
	ErrTooLarge = errors.New("larger than allowed")
	ErrHTML     = errors.New("is an HTML page, not the document")
	ErrRedirect = errors.New("redirect refused: more than 5, or from https to http")
	ErrEmpty    = errors.New("empty")
	ErrEncoding = errors.New("content encoding was not asked for")
)

// StatusError is an answer that is neither 200 nor 304.
type StatusError struct{ Code int }

func (e *StatusError) Error() string {
	return fmt.Sprintf("status %d %s", e.Code, http.StatusText(e.Code))
}

// InvalidError is a body that Validate rejected.
type InvalidError struct{ Err error }

func (e *InvalidError) Error() string { return e.Err.Error() }
func (e *InvalidError) Unwrap() error { return e.Err }

// CacheError says that the last good copy could not be written to disk. The document itself is valid: Get returns it
// together with this error, once, until writing works again.
type CacheError struct{ Err error }

func (e *CacheError) Error() string { return "keep last good copy: " + e.Err.Error() }
func (e *CacheError) Unwrap() error { return e.Err }

// Temporary reports whether asking again soon may help: network faults, time-outs, 429 and 5xx. Rejected documents and
// other statuses stay the same until an operator changes something.
func Temporary(err error) bool {
	if err == nil {
		return false
	}
	if s, ok := errors.AsType[*StatusError](err); ok {
		return s.Code == http.StatusTooManyRequests || s.Code >= 500
	}
	for _, fixed := range []error{ErrTooLarge, ErrHTML, ErrRedirect, ErrEmpty, ErrEncoding} {
		if errors.Is(err, fixed) {
			return false
		}
	}
	if _, ok := errors.AsType[*InvalidError](err); ok {
		return false
	}
	if _, ok := errors.AsType[*CacheError](err); ok {
		return false
	}
	return true
}
