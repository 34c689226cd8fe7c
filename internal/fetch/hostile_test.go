package fetch

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestAHostileETagIsNotRepeated: a source that was in wrong hands for a while must not make the reader deaf afterwards,
// by an ETag that servers refuse, or that means "any document".
func TestAHostileETagIsNotRepeated(t *testing.T) {
	for name, tt := range map[string]struct {
		etag string
		kept bool
	}{
		"strong":        {`"abc"`, true},
		"weak":          {`W/"abc"`, true},
		"without marks": {`0x8D1A`, true}, // some stores
		"any document":  {`*`, false},
		"a list":        {`"a", "b"`, false},
		"a list of any": {`"a",*`, false},
		"huge":          {`"` + strings.Repeat("x", 60<<10) + `"`, false},
		"one mark":      {`"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			body, etag := "one", tt.etag
			var sent string
			o := newOrigin(t, nil)
			o.set(func(w http.ResponseWriter, r *http.Request) {
				sent = r.Header.Get("If-None-Match")
				switch {
				case len(sent) > 8<<10: // as object stores do
					w.WriteHeader(http.StatusBadRequest)
					return
				case sent == "*": // RFC 9110, 13.1.2
					w.WriteHeader(http.StatusNotModified)
					return
				}
				conn, _, err := w.(http.Hijacker).Hijack() // net/http would repair the header
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = conn.Close() }()
				raw(conn, etag, body)
			})
			src := o.source(t)
			src.Exact = true
			f := New(src)
			get(t, f, "one", "")
			body, etag = "two", `"2"`
			get(t, f, "two", "")
			if want := map[bool]string{true: tt.etag}[tt.kept]; sent != want {
				t.Errorf("If-None-Match: %.80q, want %q", sent, want)
			}
		})
	}
}

func raw(conn net.Conn, etag, body string) {
	w := bufio.NewWriter(conn)
	_, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nETag: "+etag+"\r\n\r\n"+body)
	_ = w.Flush()
}

// TestAHostileDateIsNotRepeated: with a date in the future a server would answer "unchanged" until then.
func TestAHostileDateIsNotRepeated(t *testing.T) {
	body, date := "one", "Thu, 01 Jan 2099 00:00:00 GMT"
	o := newOrigin(t, nil)
	o.set(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-Modified-Since") != "" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Last-Modified", date)
		_, _ = io.WriteString(w, body)
	})
	f := New(o.source(t))
	get(t, f, "one", "")
	body = "two"
	get(t, f, "two", "")
}
