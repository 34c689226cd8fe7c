package outbound

import "testing"

func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		"bad Basic dXNlcjpwYXNzd29yZA==":                    "bad Basic …",
		"Authorization: bearer eyJhbGciOi.J9.abc-_~, twice": "Authorization: bearer …, twice",
		`got "Basic dXNlcjpwYXNzd29yZA==", want another`:    `got "Basic …", want another`,
		"basic authentication is off":                       "basic authentication is off",
		"a bearer token is wanted":                          "a bearer token is wanted",
	} {
		if got := Redact(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
