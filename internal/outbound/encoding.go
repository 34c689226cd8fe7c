package outbound

import (
	"net/http"
	"strings"
)

// Encoding returns the content codings of an answer that make its bytes other than those that were stored (RFC 9110, 8.4); "" is none.
// Google's storage unpacks what is stored in gzip for who does not take it, and says only in a header of its own what is stored.
func Encoding(h http.Header) string {
	if coding := Coding(strings.Join(h.Values("Content-Encoding"), ", ")); coding != "" {
		return coding
	}
	return Coding(h.Get("X-Goog-Stored-Content-Encoding"))
}

// Coding returns a Content-Encoding without the words that mean none: "" where nothing else is left.
func Coding(field string) string {
	var codings []string
	for word := range strings.SplitSeq(field, ",") {
		if word = strings.TrimSpace(word); word != "" && !strings.EqualFold(word, "identity") {
			codings = append(codings, word)
		}
	}
	return strings.Join(codings, ", ")
}
