package registry

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"ociproxy/internal/outbound"
	"ociproxy/internal/wait"
)

// These are the errors of a registry, and the errors in its answers.
var (
	ErrNotFound     = errors.New("not found")                            // no such manifest, blob or repository
	ErrUnauthorized = errors.New("not permitted")                        // credentials missing, wrong or insufficient
	ErrThrottled    = errors.New("the registry says: too many requests") // still so after many pauses
	ErrNoCatalog    = errors.New("the registry lists no repositories")   // neither Google's listing nor _catalog
	ErrExists       = errors.New("it exists with another digest")        // from a conditional push
	ErrDigest       = errors.New("content does not match its digest")    // changed, or damaged on the way
	ErrInvalid      = errors.New("invalid manifest")                     // not JSON, or not allowed in a manifest
	ErrTooLarge     = errors.New("larger than is accepted")              // manifest, list; too many entries or pages
	ErrStalled      = errors.New("too little came within the time-out")  // too few bytes arrived, or were sent
	ErrRedirect     = errors.New("redirect refused")                     // to plain HTTP, or too many redirects
	ErrBadAnswer    = errors.New("the answer breaks the protocol")       // in a page, a range or an upload location
	errLocation     = fmt.Errorf("%w: bad upload location", ErrBadAnswer)
)

// StatusError is an answer with an unwanted status. [errors.Is] finds [ErrNotFound] (404, 410), [ErrUnauthorized]
// (401, 403) and [ErrThrottled] (429) in it.
type StatusError struct {
	Code   int           // HTTP status
	Errors []Detail      // from the body; at most 8, without control characters
	Asked  time.Duration // how long the host asks clients to wait; 0: it does not say
	Home   bool          // the registry itself answered, not storage (there, a signed URL may have expired)
	Login  bool          // the token service answered, which says nothing about the requested content
}

// Detail is one error of a registry's answer.
type Detail struct{ Code, Message string }

// Error implements error.
func (e *StatusError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "status %d", e.Code)
	if text := http.StatusText(e.Code); text != "" {
		fmt.Fprintf(&b, " %s", text)
	}
	if e.Asked > 0 {
		fmt.Fprintf(&b, ", come again in %v", e.Asked)
	}
	for i, d := range e.Errors {
		sep := ": "
		if i > 0 {
			sep = "; "
		}
		b.WriteString(sep + d.Code)
		if d.Message != "" {
			b.WriteString(" (" + d.Message + ")")
		}
	}
	return b.String()
}

// Is implements the comparison of [errors.Is].
func (e *StatusError) Is(target error) bool {
	switch e.Code {
	case http.StatusNotFound, http.StatusGone:
		return target == ErrNotFound && !e.Login
	case http.StatusUnauthorized, http.StatusForbidden:
		return target == ErrUnauthorized
	case http.StatusTooManyRequests:
		return target == ErrThrottled
	}
	return false
}

// has reports whether the registry's answer has one of the codes.
func (e *StatusError) has(codes ...string) bool {
	for _, d := range e.Errors {
		for _, code := range codes {
			if d.Code == code {
				return true
			}
		}
	}
	return false
}

// Refused reports whether a registry itself, or its token service, does not let us read. It would still refuse a second
// later.
func Refused(err error) bool {
	e, ok := errors.AsType[*StatusError](err)
	return ok && e.Home && e.Is(ErrUnauthorized)
}

// Gone reports whether a registry itself answered 404 or 410: it does not have the repository, the manifest or the
// blob. When the registry gives no reason, told is false: the answer may then come from a front of the registry that
// gives the same answer to every request.
func Gone(err error) (gone, told bool) {
	e, ok := errors.AsType[*StatusError](err)
	if !ok || !e.Is(ErrNotFound) {
		return false, false
	}
	told = e.Code == http.StatusGone && e.Home || e.has("NAME_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND")
	return told || e.Home, told
}

// NameUnknown reports whether a registry answered 404 or 410 and gave as the reason that it does not know the
// repository.
func NameUnknown(err error) bool {
	e, ok := errors.AsType[*StatusError](err)
	return ok && e.Is(ErrNotFound) && e.has("NAME_UNKNOWN")
}

const (
	maxErrorBody  = 16 << 10
	maxErrorText  = 256
	maxErrorCount = 8
)

// statusError reads the body of an answer that is not a success.
func statusError(resp *http.Response) *StatusError {
	e := &StatusError{Code: resp.StatusCode}
	if asked, told := after(resp); told {
		e.Asked = max(asked, 0)
	}
	// An unreadable body does not matter: the status is known.
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	var body struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if decode(text, &body, errorBounds, ErrBadAnswer) == nil {
		for _, d := range body.Errors[:min(len(body.Errors), maxErrorCount)] {
			e.Errors = append(e.Errors, Detail{clean(d.Code), clean(d.Message)})
		}
	}
	return e
}

// fromTransport turns an error of go-containerregistry's transport, which carries complete bodies, into one of ours.
func fromTransport(err error) error {
	_, short := errors.AsType[*wait.CutShort](err)
	if e, ok := errors.AsType[*StatusError](err); ok && !short { // it does not matter which of the two schemes it had
		return e
	}
	t, ok := errors.AsType[*transport.Error](err)
	if !ok {
		return err
	}
	e := &StatusError{Code: t.StatusCode, Home: true, Login: true}
	for _, d := range t.Errors[:min(len(t.Errors), maxErrorCount)] {
		e.Errors = append(e.Errors, Detail{clean(string(d.Code)), clean(d.Message)})
	}
	return fmt.Errorf("authenticate: %w", e)
}

// clean makes text from outside fit for a message: short, without control characters and without credentials.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, s[:min(len(s), 4*maxErrorText)])
	s = outbound.Redact(s)
	if len(s) > maxErrorText {
		s = strings.ToValidUTF8(s[:maxErrorText], "") + "…"
	}
	return s
}
