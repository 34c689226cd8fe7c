package outbound

import (
	"net/http"
	"testing"
)

func TestEncoding(t *testing.T) {
	for _, c := range []struct {
		header http.Header
		want   string
	}{
		{http.Header{}, ""},
		{http.Header{"Content-Encoding": {"identity"}}, ""},
		{http.Header{"Content-Encoding": {" Identity , "}}, ""},
		{http.Header{"Content-Encoding": {"gzip"}}, "gzip"},
		{http.Header{"Content-Encoding": {"identity", "gzip"}}, "gzip"},
		{http.Header{"Content-Encoding": {"aws-chunked,zstd"}}, "aws-chunked, zstd"},
		{http.Header{"Content-Encoding": {"none"}}, "none"},
		{http.Header{"X-Goog-Stored-Content-Encoding": {"identity"}}, ""},
		{http.Header{"X-Goog-Stored-Content-Encoding": {"gzip"}}, "gzip"},
	} {
		if got := Encoding(c.header); got != c.want {
			t.Errorf("%v: %q, want %q", c.header, got, c.want)
		}
	}
}
