package outbound

import (
	"net/http"
	"net/url"
	"testing"
)

// A redirect stays on its host when it has the same host and port, in any spelling.
func TestOneRedirectKnowsTheSameHost(t *testing.T) {
	at := func(s string) *http.Request {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return &http.Request{URL: u}
	}
	for _, test := range []struct {
		from, to string
		follow   bool
	}{
		{"https://r.example/v2/a", "https://r.example/v2/a/", true},
		{"https://r.example/", "https://r.example:443/", true},
		{"https://r.example:443/", "https://R.Example/", true},
		{"https://r.example/", "https://r.example:/", true}, // an empty port is the scheme's
		{"http://r.example/", "http://r.example:80/", true},
		{"http://r.example:80/", "http://r.EXAMPLE/", true},
		{"https://r.example:5000/", "https://r.example:5000/", true},
		{"http://r.example/", "https://r.example/", true}, // to TLS
		{"http://r.example:80/", "https://r.example:443/", true},
		{"https://[2001:db8::a]/", "https://[2001:DB8::A]:443/", true},

		{"https://r.example/", "https://r.example:80/", false},
		{"https://r.example/", "https://r.example:8443/", false},
		{"https://r.example:5000/", "https://r.example/", false},
		{"https://r.example/", "https://other.example/", false},
		{"https://r.example/", "https://r.example.evil.example:443/", false},
		{"http://r.example/", "http://r.example:443/", false},
		{"https://r.example/", "http://r.example:443/", false}, // not without TLS
		{"https://r.example/", "https://me@r.example/", false},
	} {
		err := OneRedirect(at(test.to), []*http.Request{at(test.from)})
		if followed := err == nil; followed != test.follow {
			t.Errorf("%s → %s: followed %v, want %v", test.from, test.to, followed, test.follow)
		}
	}
	again := at("https://r.example/")
	if OneRedirect(again, []*http.Request{again, again}) == nil {
		t.Error("a second redirect is followed")
	}
}
