package store

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// onlyParams refuses parameters in a bucket's URL that mean nothing there, and user names and passwords, which do not belong there.
func onlyParams(u *url.URL, known ...string) error {
	endpoint, err := url.Parse(u.Query().Get("endpoint"))
	if err != nil { // the text of which has all of it
		return fmt.Errorf("bucket %q: endpoint: not a URL", shown(u.String()))
	}
	if u.User != nil || endpoint.User != nil {
		return fmt.Errorf("bucket %q: credentials do not belong in the URL", shown(u.String()))
	}
	for _, name := range slices.Sorted(maps.Keys(u.Query())) {
		if !slices.Contains(known, name) {
			return fmt.Errorf("bucket %q: unknown parameter %q: %s may be given", shown(u.String()), name, strings.Join(known, ", "))
		}
	}
	return nil
}

// shown is a bucket's URL as messages have it: without user and parameters, for what should not stand there may be secret.
func shown(text string) string {
	text, _, _ = strings.Cut(text, "?")
	if scheme, rest, ok := strings.Cut(text, "://"); ok {
		return scheme + "://" + rest[strings.LastIndex(rest, "@")+1:]
	}
	return text
}

// prefixOf makes what stands before every key of the path in a bucket's URL: "" or something that ends in "/".
func prefixOf(path string) (string, error) {
	path = strings.Trim(path, "/")
	if path == "" {
		return "", nil
	}
	if err := checkKey(path); err != nil {
		return "", fmt.Errorf("prefix: %w", err)
	}
	return path + "/", nil
}
