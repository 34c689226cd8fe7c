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
	if u.User != nil {
		return fmt.Errorf("bucket %q: credentials do not belong in the URL", u.Redacted())
	}
	for _, name := range slices.Sorted(maps.Keys(u.Query())) {
		if !slices.Contains(known, name) {
			return fmt.Errorf("bucket %q: unknown parameter %q: %s may be given", u, name, strings.Join(known, ", "))
		}
	}
	return nil
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
