package oci

import (
	"encoding/json"
	"net/http"
)

// Error is an answer in the specification's error format. The errors below are shared and must not be changed: derive a
// new one with [Error.With]. They never contain input of a client, so an answer to hostile input allocates nothing and
// echoes nothing.
type Error struct {
	Status  int    // HTTP status
	Code    string // upper-case identifier of the specification or, where it has none, of CNCF distribution
	Message string // the sentence for this code
	Detail  string // what exactly was wrong; may be empty

	body []byte
}

func newError(status int, code, message, detail string) *Error {
	e := &Error{Status: status, Code: code, Message: message, Detail: detail}
	e.body = e.encode()
	return e
}

// These are the answers of the proxy, named by their code. [errors.Is] compares code and status.
var (
	ErrNameInvalid     = newError(http.StatusBadRequest, "NAME_INVALID", "invalid repository name", "a name is at most 255 characters: lower-case letters and digits, separated by '.', '_', '__', '-' or '/'")
	ErrDigestInvalid   = newError(http.StatusBadRequest, "DIGEST_INVALID", "provided digest is not a digest", "a digest is sha256: and 64, or sha512: and 128 lower-case hexadecimal digits, or another algorithm's 'algorithm:encoded'")
	ErrNumberInvalid   = newError(http.StatusBadRequest, "PAGINATION_NUMBER_INVALID", "invalid number of results requested", "n is a whole number from 0 to 2147483647")
	ErrLastInvalid     = newError(http.StatusBadRequest, "UNSUPPORTED", "invalid pagination marker", "last is at most 2048 bytes, without control characters")
	ErrQueryInvalid    = newError(http.StatusBadRequest, "UNSUPPORTED", "invalid query", "an escape is '%' and two hexadecimal digits")
	ErrManifestUnknown = newError(http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown to registry", "")
	ErrTagInvalid      = newError(http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown to registry", "a tag is at most 128 letters, digits, '.', '_' and '-', and does not start with '.' or '-'")
	ErrBlobUnknown     = newError(http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry", "")
	ErrNameUnknown     = newError(http.StatusNotFound, "NAME_UNKNOWN", "repository name not known to registry", "")
	ErrUnsupported     = newError(http.StatusNotFound, "UNSUPPORTED", "the operation is unsupported", "no such endpoint here")
	ErrCatalog         = newError(http.StatusNotFound, "UNSUPPORTED", "the operation is unsupported", "this registry does not list its repositories")
	ErrMethod          = newError(http.StatusMethodNotAllowed, "UNSUPPORTED", "the operation is unsupported", "this registry is read-only: GET and HEAD")
	ErrUnauthorized    = newError(http.StatusUnauthorized, "UNAUTHORIZED", "authentication required", "")
	ErrDenied          = newError(http.StatusForbidden, "DENIED", "requested access to the resource is denied", "")
	ErrTooManyRequests = newError(http.StatusTooManyRequests, "TOOMANYREQUESTS", "too many requests", "")
	ErrUnavailable     = newError(http.StatusServiceUnavailable, "UNAVAILABLE", "service unavailable", "")
)

// With returns a copy of e with a different detail.
func (e *Error) With(detail string) *Error {
	return newError(e.Status, e.Code, e.Message, detail)
}

// Error implements error.
func (e *Error) Error() string {
	if e.Detail == "" {
		return e.Message
	}
	return e.Message + ": " + e.Detail
}

// Is reports whether target is an [Error] with the same code and status.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Status == e.Status
}

// Body returns the JSON body {"errors":[{"code","message","detail"}]} and a
// final newline. The caller must not change it.
func (e *Error) Body() []byte {
	if e.body != nil {
		return e.body
	}
	return e.encode()
}

func (e *Error) encode() []byte {
	type entry struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Detail  string `json:"detail"`
	}
	body, err := json.Marshal(struct {
		Errors [1]entry `json:"errors"`
	}{[1]entry{{e.Code, e.Message, e.Detail}}})
	if err != nil {
		panic(err) // three strings always marshal
	}
	return append(body, '\n')
}
