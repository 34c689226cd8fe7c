package prove

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync/atomic"

	"ociproxy/internal/promote"
)

// Allow is what may be in a destination although no manifest lists it. nil allows nothing.
type Allow struct{ patterns []*pattern }

// pattern is one line.
type pattern struct {
	*regexp.Regexp
	text, place string
	used        atomic.Bool // it allowed something
}

// ParseAllow reads patterns, one per line, comments after "#": REPOSITORY, which allows everything in it,
// REPOSITORY:TAG, or REPOSITORY@DIGEST, with the repository's full name. "*" matches anything except a slash, "**"
// matches anything. name is the text's name in errors.
func ParseAllow(name string, r io.Reader) (*Allow, error) {
	a := new(Allow)
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if strings.ContainsAny(text, " \t") || !strings.Contains(text, "/") {
			return nil, fmt.Errorf("%s:%d: expected REPOSITORY, REPOSITORY:TAG or REPOSITORY@DIGEST, found %q", name, n, text)
		}
		p := &pattern{text: text, place: fmt.Sprintf("%s:%d", name, n)}
		any, part := "\x00", "\x01" // placeholders that QuoteMeta does not change
		text = strings.ReplaceAll(strings.ReplaceAll(text, "**", any), "*", part)
		text = strings.ReplaceAll(strings.ReplaceAll(regexp.QuoteMeta(text), any, ".*"), part, "[^/]*")
		p.Regexp = regexp.MustCompile("^" + text + "([:@][^/]*)?$")
		a.patterns = append(a.patterns, p)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return a, nil
}

// allows reports whether a repository, repository:tag or repository@digest is expected.
func (a *Allow) allows(what string) bool {
	if a == nil {
		return false
	}
	allowed := false
	for _, p := range a.patterns { // check all of them, so that each is marked as used
		if p.MatchString(what) {
			p.used.Store(true)
			allowed = true
		}
	}
	return allowed
}

// idle returns the patterns that allowed nothing.
func (a *Allow) idle() (out []promote.Idle) {
	if a == nil {
		return nil
	}
	for _, p := range a.patterns {
		if !p.used.Load() {
			out = append(out, promote.Idle{Exception: "allow", What: p.text, Why: "nothing unexpected that was looked at is called so (" + p.place + ")"})
		}
	}
	return out
}
