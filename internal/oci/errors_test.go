package oci_test

import (
	"encoding/json"
	"errors"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/oci"
)

func TestErrorBody(t *testing.T) {
	got := string(oci.ErrDenied.With(`say "no" <b>`).Body())
	want := `{"errors":[{"code":"DENIED","message":"requested access to the resource is denied","detail":"say \"no\" \u003cb\u003e"}]}` + "\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("body (-want +got)\n%s", diff)
	}
	made := oci.Error{Status: 404, Code: "NAME_UNKNOWN", Message: "m"}
	if got, want := string(made.Body()), `{"errors":[{"code":"NAME_UNKNOWN","message":"m","detail":""}]}`+"\n"; got != want {
		t.Errorf("body of a literal: %s", got)
	}
}

func TestErrors(t *testing.T) {
	code := regexp.MustCompile(`^[A-Z_]+$`)
	for _, test := range []struct {
		err    *oci.Error
		status int
		code   string
	}{
		{oci.ErrNameInvalid, 400, "NAME_INVALID"},
		{oci.ErrDigestInvalid, 400, "DIGEST_INVALID"},
		{oci.ErrNumberInvalid, 400, "PAGINATION_NUMBER_INVALID"},
		{oci.ErrLastInvalid, 400, "UNSUPPORTED"},
		{oci.ErrManifestUnknown, 404, "MANIFEST_UNKNOWN"},
		{oci.ErrTagInvalid, 404, "MANIFEST_UNKNOWN"},
		{oci.ErrBlobUnknown, 404, "BLOB_UNKNOWN"},
		{oci.ErrNameUnknown, 404, "NAME_UNKNOWN"},
		{oci.ErrUnsupported, 404, "UNSUPPORTED"},
		{oci.ErrCatalog, 404, "UNSUPPORTED"},
		{oci.ErrMethod, 405, "UNSUPPORTED"},
		{oci.ErrDenied, 403, "DENIED"},
		{oci.ErrTooManyRequests, 429, "TOOMANYREQUESTS"},
		{oci.ErrUnavailable, 503, "UNAVAILABLE"},
	} {
		if test.err.Status != test.status || test.err.Code != test.code || !code.MatchString(test.err.Code) {
			t.Errorf("%v: %d %s, want %d %s", test.err, test.err.Status, test.err.Code, test.status, test.code)
		}
		var body struct{ Errors []map[string]string }
		if err := json.Unmarshal(test.err.Body(), &body); err != nil {
			t.Fatal(err)
		}
		want := []map[string]string{{"code": test.err.Code, "message": test.err.Message, "detail": test.err.Detail}}
		if diff := cmp.Diff(want, body.Errors); diff != "" {
			t.Errorf("body (-want +got)\n%s", diff)
		}
		if !errors.Is(test.err.With("x"), test.err) {
			t.Errorf("%v with a detail is another error", test.err)
		}
	}
	if errors.Is(oci.ErrMethod, oci.ErrUnsupported) || errors.Is(oci.ErrUnavailable, oci.ErrDenied) {
		t.Error("different errors are the same")
	}
}
