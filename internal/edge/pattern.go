package edge

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"

	"ociproxy/internal/oci"
	"ociproxy/internal/store/address"
)

// The patterns of the specification, in the syntax that all fronts share: no backslash, because each front has its own
// rules for quoting one, and nothing that RE2 lacks. They are wider than package oci in lengths only, which RE2 cannot
// count here: a name of more than [oci.MaxName] bytes, and a digest whose encoded part has not the length and digits
// of its algorithm. The server answers 400 to both.
const (
	name   = `[a-z0-9]+(?:(?:[./_]|__|-+)[a-z0-9]+)*`
	colon  = `(?::|%3[Aa])` // some clients escape it
	digest = `[a-z0-9]+(?:[+._-][a-z0-9]+)*` + colon + `[A-Za-z0-9=_-]+`
	tag    = `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`
	hex64  = `[0-9a-f]{64}`
)

// MaxPath is the length of the longest path that the server accepts, in bytes: referrers of a digest of an unknown
// algorithm with an escaped colon, in a repository with the longest name.
const MaxPath = len("/v2/") + oci.MaxName + len("/referrers/") + oci.MaxDigest + len("%3A") - len(":")

// registry returns the routes of the registry API, one for each [oci.Kind].
func registry() (list []Route) {
	paths := map[oci.Kind][2]string{
		oci.KindBase:      {"/v2/", `/v2/?`},
		oci.KindBlob:      {"/v2/NAME/blobs/DIGEST", `/v2/` + name + `/blobs/` + digest},
		oci.KindManifest:  {"/v2/NAME/manifests/DIGEST", `/v2/` + name + `/manifests/` + digest},
		oci.KindTag:       {"/v2/NAME/manifests/TAG", `/v2/` + name + `/manifests/` + tag},
		oci.KindReferrers: {"/v2/NAME/referrers/DIGEST", `/v2/` + name + `/referrers/` + digest},
		oci.KindTags:      {"/v2/NAME/tags/list", `/v2/` + name + `/tags/list`},
	}
	for _, kind := range oci.Kinds() {
		list = append(list, Route{Name: kind.String(), Path: paths[kind][0], Pattern: paths[kind][1], For: Clients})
	}
	return list
}

var plainPrefix = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)*$`)

// Store returns the routes of a store behind a CDN. prefix is the path of the store's URL, without a slash at its end;
// "" means none. The inventory is beside the blobs.
func Store(prefix string) ([]Route, error) {
	if !plainPrefix.MatchString(prefix) || strings.Contains(prefix+"/", "/../") || strings.Contains(prefix+"/", "/./") {
		return nil, fmt.Errorf("prefix %q: want a path of letters, digits, '.', '_', '~' and '-', such as /images", prefix)
	}
	blobs, inventory := prefix+"/"+address.BlobPrefix, prefix+"/"+address.InventoryPrefix
	return []Route{
		{Name: "blob sha256", Path: blobs + "sha256:HEX", Pattern: quote(blobs) + `sha256` + colon + hex64, For: Clients},
		{Name: "blob sha512", Path: blobs + "sha512:HEX", Pattern: quote(blobs) + `sha512` + colon + `[0-9a-f]{128}`, For: Clients},
		{Name: "inventory head", Path: inventory + "head.json", Pattern: quote(inventory + "head.json"), For: Clients},
		{Name: "inventory segment", Path: inventory + "seg/HEX", Pattern: quote(inventory+"seg/") + hex64, For: Clients},
	}, nil
}

// quote returns the pattern of a literal path.
func quote(path string) string { return strings.ReplaceAll(path, ".", "[.]") }

// either returns one pattern, with anchors, for the paths of all routes.
func either(routes []Route) (string, error) {
	if len(routes) == 0 {
		return "", errors.New("no routes")
	}
	patterns := make([]string, len(routes))
	for i, r := range routes {
		patterns[i] = r.Pattern
	}
	whole := "^(?:" + strings.Join(patterns, "|") + ")$"
	return whole, portable(whole)
}

// Match reports whether the routes let a path through, as a front with RE2 decides it. It compiles the pattern at each
// call: for tests.
func Match(routes []Route, path string) (bool, error) {
	whole, err := either(routes)
	if err != nil {
		return false, err
	}
	return regexp.MatchString(whole, path)
}

// portable refuses what the fronts read differently: a backslash, a quote, and what RE2 does not know.
func portable(pattern string) error {
	if at := strings.IndexAny(pattern, "\\\"'`\n"); at >= 0 {
		return fmt.Errorf("pattern %q: %q means different things to different fronts", pattern, pattern[at])
	}
	return re2(pattern)
}

// re2 refuses what RE2 does not compile: look-around, back-references, more than 1000 repetitions. Go's syntax is
// RE2's.
func re2(pattern string) error {
	if _, err := syntax.Parse(pattern, syntax.Perl); err != nil {
		return fmt.Errorf("pattern %q: RE2 does not compile it: %w", pattern, err)
	}
	return nil
}
