package outbound

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxPause caps what a host may ask for by Retry-After.
const MaxPause = 5 * time.Minute

// RetryAfter reads a Retry-After header, seconds or an HTTP date (RFC 9110, 10.2.3), capped at [MaxPause]. ok is false when there
// is none that can be read.
func RetryAfter(h http.Header, now time.Time) (d time.Duration, ok bool) {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0, false
	}
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Duration(min(max(seconds, 0), int64(MaxPause/time.Second))) * time.Second, true
	}
	if t, err := http.ParseTime(text); err == nil {
		return min(max(t.Sub(now), 0), MaxPause), true
	}
	return 0, false
}

var errLink = errors.New("link header that cannot be read")

// NextLink returns the target, as it is written, of the first link to the next page in Link headers (RFC 8288); "" when there is
// none. Some registries write no rel at all and mean next: such a link counts when no other says next. A link with an
// anchor is about another page. The error says that a line cannot be read, and that no other has a next page.
func NextLink(h http.Header) (string, error) {
	plain, failed := "", error(nil)
	for _, line := range h.Values("Link") {
		next, loose, err := nextOf(line)
		if next != "" {
			return next, nil
		}
		if plain == "" {
			plain = loose
		}
		failed = cmp.Or(failed, err)
	}
	if failed != nil {
		return "", failed
	}
	return plain, nil
}

// nextOf returns the first target of a line that says next, and the first without a rel.
func nextOf(rest string) (next, plain string, err error) {
	for {
		rest = strings.TrimLeft(rest, " \t,") // empty elements are allowed (RFC 9110, 5.6.1)
		if rest == "" {
			return "", plain, nil
		}
		target, after, ok := strings.Cut(strings.TrimPrefix(rest, "<"), ">")
		if rest[0] != '<' || !ok {
			return "", "", errLink
		}
		var l link
		if rest, ok = l.params(after); !ok {
			return "", "", errLink
		}
		switch {
		case l.anchored:
		case !l.has && plain == "":
			plain = target
		case l.next && target != "":
			return target, "", nil
		}
	}
}

// link is what the parameters of a link say of it.
type link struct {
	has, next bool // rel is there; next is one of its words
	anchored  bool
}

// params reads parameters up to the comma after them, and returns what follows it.
func (l *link) params(s string) (rest string, ok bool) {
	for {
		s = strings.TrimLeft(s, " \t")
		switch {
		case s == "":
			return "", true
		case s[0] == ',':
			return s[1:], true
		case s[0] != ';':
			return "", false
		}
		s = strings.TrimLeft(s[1:], " \t")
		end := strings.IndexAny(s, "=;, \t")
		if end < 0 {
			end = len(s)
		}
		name, value := s[:end], ""
		s = strings.TrimLeft(s[end:], " \t")
		if strings.HasPrefix(s, "=") {
			if value, s, ok = paramValue(strings.TrimLeft(s[1:], " \t")); !ok {
				return "", false
			}
		}
		l.note(name, value)
	}
}

// note takes a parameter. Of several rel only the first counts (RFC 8288, 3.3).
func (l *link) note(name, value string) {
	switch {
	case strings.EqualFold(name, "anchor"):
		l.anchored = true
	case strings.EqualFold(name, "rel") && !l.has:
		l.has = true
		for word := range strings.FieldsSeq(value) {
			l.next = l.next || strings.EqualFold(word, "next")
		}
	}
}

// paramValue reads a token or a quoted string.
func paramValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ";, \t")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], true
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}
