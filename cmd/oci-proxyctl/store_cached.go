package main

import (
	"fmt"
	"net/url"
	"strings"

	"ociproxy/internal/config"
	"ociproxy/internal/region"
)

// cachedErrors returns what ends the errors that a CDN may still have from the time before the store was filled: a
// sentence and commands. Words in capitals are for the operator to replace. The zero values mean that the store has no
// CDN whose cache could hold errors.
func cachedErrors(s *config.Store) (hint string, commands []region.Command) {
	var paths []string
	host := ""
	for _, text := range []string{s.URL, s.Inventory.URL} {
		before, _, _ := strings.Cut(text, "{digest}")
		if u, err := url.Parse(before); err == nil && u.Host != "" {
			host = u.Host
			paths = append(paths, strings.TrimSuffix(u.Path, "/")+"/*")
		}
	}
	hint = fmt.Sprintf("%s may still have errors in its cache from before the store was filled. They end by themselves after their time (10 seconds with our rules). To end them at once:", s.CDN)
	switch s.CDN {
	case "cloudfront":
		args := append([]string{"cloudfront", "create-invalidation", "--distribution-id", "ID", "--paths"}, paths...)
		return hint, []region.Command{{Program: "aws", Args: args}}
	case "fastly":
		return hint, []region.Command{{Program: "fastly", Args: []string{"service", "purge", "--service-id", "ID", "--all"}}}
	case "google-cloud-cdn":
		for _, p := range paths {
			commands = append(commands, region.Command{Program: "gcloud", Args: []string{"compute", "url-maps", "invalidate-cdn-cache", "URL-MAP", "--host", host, "--path", p}})
		}
		return hint, commands
	case "other":
		return "The CDN may still have errors in its cache from before the store was filled. They end by themselves after their time. To end them at once, purge " +
			strings.Join(paths, " and ") + " of " + host + ".", nil
	}
	return "", nil // object storage with a price list of its own, and without a cache
}

// tellCachedErrors says how to end them.
func (a *app) tellCachedErrors(s *config.Store) {
	hint, commands := cachedErrors(s)
	if hint == "" {
		return
	}
	fmt.Fprintln(a.stderr, "\n"+hint)
	for _, c := range commands {
		fmt.Fprintln(a.stderr, "  "+c.Shell(program))
	}
}
