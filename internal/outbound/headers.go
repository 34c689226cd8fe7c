package outbound

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// MaxPause is the longest pause that a host gets when it sends Retry-After.
const MaxPause = 5 * time.Minute

// RetryAfter reads a Retry-After header, seconds or an HTTP date (RFC 9110, 10.2.3), capped at [MaxPause]. ok is false
// when there is no readable one.
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

// NextLinks returns the targets of the links to the next page in Link headers (RFC 8288), as written and in their
// order. Some registries write no rel and mean next: such links count when no other link says next. NextLinks skips a
// link whose anchor names a list other than its target's. It returns an error when no link says next and one cannot be
// read.
func NextLinks(h http.Header) ([]string, error) {
	var next, plain []string
	failed := error(nil)
	for _, line := range h.Values("Link") {
		for rest := line; ; {
			rest = strings.TrimLeft(rest, " \t,") // empty elements are allowed (RFC 9110, 5.6.1)
			if rest == "" {
				break
			}
			var l link
			after, ok := l.read(rest)
			switch {
			case !ok:
				failed = errLink
				_, after, _ = strings.Cut(rest, ",") // the one after it may be readable
			case l.elsewhere():
			case l.next:
				next = append(next, l.target)
			case !l.has:
				plain = append(plain, l.target)
			}
			rest = after
		}
	}
	switch {
	case len(next) > 0:
		return next, nil
	case failed != nil:
		return nil, failed
	}
	return plain, nil
}

// link has the parts of one link.
type link struct {
	target    string
	has, next bool   // has: there is a rel; next: it has the word next
	anchor    string // the page that the link is about; "" means this page
}

// read reads a link, and returns what follows it.
func (l *link) read(s string) (rest string, ok bool) {
	target, after, ok := strings.Cut(strings.TrimPrefix(s, "<"), ">")
	if s[0] != '<' || !ok {
		return "", false
	}
	l.target = strings.TrimSpace(target)
	return l.params(after)
}

// elsewhere reports whether the link is about another page. The next page of a list has the path of this one.
func (l *link) elsewhere() bool {
	if l.anchor == "" {
		return false
	}
	here, err := url.Parse(l.anchor)
	there, err2 := url.Parse(l.target)
	return err != nil || err2 != nil || here.Path != there.Path || here.Fragment != ""
}

// params reads parameters up to the next comma, and returns what follows the comma.
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

// note records a parameter. If there are several rel, only the first one counts (RFC 8288, 3.3).
func (l *link) note(name, value string) {
	switch {
	case strings.EqualFold(name, "anchor"):
		l.anchor = value
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
