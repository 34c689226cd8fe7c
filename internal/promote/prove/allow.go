package prove

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// Allow is what may be in a destination though no manifest lists it. nil allows nothing.
type Allow struct{ patterns []*regexp.Regexp }

// ParseAllow reads patterns, one a line, comments after "#": REPOSITORY, which allows all that is in it, REPOSITORY:TAG, or
// REPOSITORY@DIGEST, the repository by its full name. "*" is anything but a slash, "**" anything. name is what errors call the text.
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
		any, part := "\x00", "\x01" // placeholders that QuoteMeta leaves alone
		text = strings.ReplaceAll(strings.ReplaceAll(text, "**", any), "*", part)
		text = strings.ReplaceAll(strings.ReplaceAll(regexp.QuoteMeta(text), any, ".*"), part, "[^/]*")
		a.patterns = append(a.patterns, regexp.MustCompile("^"+text+"([:@][^/]*)?$"))
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return a, nil
}

// allows says whether something is expected to be there: a repository, repository:tag or repository@digest.
func (a *Allow) allows(what string) bool {
	if a == nil {
		return false
	}
	for _, p := range a.patterns {
		if p.MatchString(what) {
			return true
		}
	}
	return false
}
