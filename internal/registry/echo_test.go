package registry

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

// Some servers repeat the header `Authorization` in their errors. Our errors do not contain what follows the scheme.
func TestEchoedCredentials(t *testing.T) {
	for text, want := range map[string]string{
		"bad Basic dXNlcjpwYXNzd29yZA==": "bad Basic …",
		"basic authentication is off":    "basic authentication is off",
	} {
		r, _ := openWorld(t, func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(http.StatusForbidden)
			_, _ = rw.Write([]byte(`{"errors":[{"code":"DENIED","message":"` + text + `"}]}`))
		})
		_, err := r.Manifest(t.Context(), "image", "latest")
		status, ok := errors.AsType[*StatusError](err)
		if !ok || len(status.Errors) != 1 || !strings.HasPrefix(status.Errors[0].Message, want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
