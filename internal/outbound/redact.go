package outbound

import (
	"regexp"
	"strings"
)

// credentials matches what follows the name of a scheme in the header `Authorization`.
var credentials = regexp.MustCompile(`(?i)\b(basic|bearer)(:?[\s"']+)([A-Za-z0-9+/=._~-]{6,})`)

// Redact removes credentials from text that a server wrote: some servers repeat the header `Authorization` in their
// errors. All such text passes through Redact before it goes into an error or a log.
func Redact(text string) string {
	return credentials.ReplaceAllStringFunc(text, func(found string) string {
		m := credentials.FindStringSubmatch(found)
		if strings.ToLower(m[3]) == m[3] && !strings.ContainsAny(m[3], "0123456789=") {
			return found // a word: "basic authentication"
		}
		return m[1] + m[2] + "…"
	})
}
