package store

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// onlyParams refuses a bucket's URL with a parameter that its scheme does not know, or with a user name or password:
// credentials do not belong in a URL.
func onlyParams(u *url.URL, known ...string) error {
	endpoint, err := url.Parse(u.Query().Get("endpoint"))
	if err != nil { // its text would repeat the endpoint
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

// shown returns a bucket's URL for messages, without user and parameters: text in the wrong place may be secret.
func shown(text string) string {
	text, _, _ = strings.Cut(text, "?")
	if scheme, rest, ok := strings.Cut(text, "://"); ok {
		return scheme + "://" + rest[strings.LastIndex(rest, "@")+1:]
	}
	return text
}

// prefixOf turns the path in a bucket's URL into the prefix of every key: "" or a text that ends in "/".
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
