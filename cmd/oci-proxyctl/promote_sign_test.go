package main

import (
	"errors"
	"testing"

	"ociproxy/internal/cli"
	"ociproxy/internal/promote/apply"
)

// If one image could not be signed, but another is in place and signed, the result is not "nothing was done".
func TestSignCodes(t *testing.T) {
	boom := errors.New("boom")
	for _, tt := range []struct {
		errs []error
		code int
	}{
		{nil, cli.CodeOK}, {[]error{nil}, cli.CodeOK}, {[]error{boom}, cli.CodeFailure},
		{[]error{nil, boom}, cli.CodePartial}, {[]error{boom, nil}, cli.CodePartial},
	} {
		s := &apply.Signatures{}
		for _, err := range tt.errs {
			if s.Images++; err != nil {
				s.Images--
				s.Cause = err
			}
		}
		if code := cli.Code(signedErr(s)); code != tt.code {
			t.Errorf("%v: %d, want %d", tt.errs, code, tt.code)
		}
	}
	for code, want := range map[int]int{0: 36, 32 | 2: 32 | 2 | 4, 64 | 1: 64 | 1 | 4, 1: 1, 3: 3} {
		if got := codeAfter(code); got != want {
			t.Errorf("after %d: %d, want %d", code, got, want)
		}
	}
}
