package inspect

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ociproxy/internal/outbound"
)

func TestParseURL(t *testing.T) {
	tests := []struct {
		text, want string
		err        error
	}{
		{"https://a.example/inventory/", "https://a.example/inventory/", nil},
		{"https://a.example/inventory", "https://a.example/inventory/", nil},
		{"https://a.example/inventory//", "https://a.example/inventory/", nil},
		{"https://a.example/inventory/head.json", "https://a.example/inventory/", nil},
		{"https://a.example", "https://a.example/", nil},
		{"http://127.0.0.1:8080/i", "http://127.0.0.1:8080/i/", nil},
		{"http://[::1]:8080/i", "http://[::1]:8080/i/", nil},
		{"http://localhost/i", "http://localhost/i/", nil},
		{"http://a.example/", "", ErrPlainHTTP},
		{"http://127.0.0.1.a.example/", "", ErrPlainHTTP},
		{"http://169.254.169.254/", "", ErrPlainHTTP},
		{"", "", ErrAddress},
		{"a.example/inventory", "", ErrAddress},
		{"s3://a/inventory", "", ErrAddress},
		{"file:///etc/", "", ErrAddress},
		{"https:///inventory", "", ErrAddress},
		{"https://me:secret@a.example/", "", ErrAddress},
		{"https://a.example/?x=1", "", ErrAddress},
		{"https://a.example/#x", "", ErrAddress},
		{"https://a.example/{digest}", "", ErrAddress},
		{"https://a.example/%zz", "", ErrAddress},
	}
	for _, tt := range tests {
		got, err := ParseURL(tt.text)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("ParseURL(%q) = %q, %v; want %q, %v", tt.text, got, err, tt.want, tt.err)
		}
	}
}

func TestParseTemplate(t *testing.T) {
	tests := []struct {
		text string
		err  error
	}{
		{"https://a.example/containers/images/{digest}", nil},
		{"http://127.0.0.1:1/{digest}", nil},
		{"https://a.example/", ErrTemplate},
		{"https://a.example/{digest}/{digest}", ErrTemplate},
		{"http://a.example/{digest}", ErrPlainHTTP},
		{"ftp://a.example/{digest}", ErrAddress},
	}
	for _, tt := range tests {
		if _, err := ParseTemplate(tt.text); !errors.Is(err, tt.err) {
			t.Errorf("ParseTemplate(%q): %v, want %v", tt.text, err, tt.err)
		}
	}
}

// The error says why an inventory cannot be read, and what to do about it.
func TestExplains(t *testing.T) {
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	l := newLine(Options{})
	defer l.close()
	_, err := l.head(t.Context(), Source{URL: secure.URL + "/"})
	if err == nil || !strings.Contains(err.Error(), outbound.CAVariable) {
		t.Errorf("%v: want what is to be done", err)
	}
	resp, err := l.straight.Get(secure.URL)
	if err == nil {
		resp.Body.Close()
	}
	if err == nil || !strings.Contains(err.Error(), outbound.CAVariable) {
		t.Errorf("a blob: %v: want what is to be done", err)
	}
}
