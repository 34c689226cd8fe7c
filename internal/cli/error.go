package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Error is an error in the form that a person at a terminal needs: what happened, what to do, and the exit code of the
// process.
type Error struct {
	Err  error
	Hint string // what to do about it, one sentence; "" when there is no advice
	Code int    // exit code; 0 means CodeFailure
	// Shown says that the command has already reported everything to the user, for example in a report with faults.
	// Only the exit code is left.
	Shown bool
}

func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Usage returns an error for a wrong call of the command (exit code 2).
func Usage(hint, format string, args ...any) error {
	return &Error{Err: fmt.Errorf(format, args...), Hint: hint, Code: CodeUsage}
}

// Fail returns an error with exit code 1 and a hint.
func Fail(hint, format string, args ...any) error {
	return &Error{Err: fmt.Errorf(format, args...), Hint: hint, Code: CodeFailure}
}

// Interrupted returns the error of a command whose context ended before its work did: exit code 1 in both programs.
func Interrupted() error { return &Error{Err: errors.New("interrupted"), Code: CodeFailure} }

// interrupted reports whether err is only the end of ctx.
func interrupted(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, ctx.Err())
}

// Exit returns an error that ends the command with code and prints nothing more.
func Exit(code int) error { return &Error{Code: code, Shown: true} }

// Code returns the exit code of err: 0 for nil, and 1 when err has no code.
func Code(err error) int {
	if err == nil {
		return CodeOK
	}
	var e *Error
	if errors.As(err, &e) && e.Code != 0 {
		return e.Code
	}
	return CodeFailure
}

// Report writes err to w the way both binaries do, and returns the exit code:
//
//	oci-proxy: read config: open x.yaml: no such file or directory
//	hint: name the file with --config
//
// With JSON it is one line: {"error":{"message":…,"hint":…,"code":…}}.
func Report(w io.Writer, program string, format Format, err error) int {
	code := Code(err)
	var e *Error
	if err == nil || errors.As(err, &e) && e.Shown {
		return code
	}
	hint := ""
	if e != nil {
		hint = e.Hint
	}
	if format == JSON {
		type body struct {
			Message string `json:"message"`
			Hint    string `json:"hint,omitempty"`
			Code    int    `json:"code"`
		}
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(struct {
			Error body `json:"error"`
		}{body{err.Error(), hint, code}})
		return code
	}
	fmt.Fprintf(w, "%s: %s\n", program, strings.TrimRight(err.Error(), "\n"))
	if hint != "" {
		fmt.Fprintf(w, "hint: %s\n", hint)
	}
	return code
}
