package outbound

import (
	"net/http"
	"strings"
)

// Encoding returns the content codings of an answer that make its bytes differ from the stored ones (RFC 9110, 8.4), or
// "" when there are none. Google's storage unpacks an object that is stored as gzip for clients that do not accept
// gzip, and only a header of its own says how the object is stored.
func Encoding(h http.Header) string {
	if coding := Coding(strings.Join(h.Values("Content-Encoding"), ", ")); coding != "" {
		return coding
	}
	return Coding(h.Get("X-Goog-Stored-Content-Encoding"))
}

// Coding returns the codings in a Content-Encoding, without the words that mean none; "" when nothing else is left.
func Coding(field string) string {
	var codings []string
	for word := range strings.SplitSeq(field, ",") {
		if word = strings.TrimSpace(word); word != "" && !strings.EqualFold(word, "identity") {
			codings = append(codings, word)
		}
	}
	return strings.Join(codings, ", ")
}
