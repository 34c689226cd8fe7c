package oci_test

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"ociproxy/internal/oci"
)

// These are the patterns as the specifications print them.
var (
	nameRE   = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagRE    = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
	digestRE = regexp.MustCompile(`^[a-z0-9]+([+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$`)
	knownRE  = regexp.MustCompile(`^(sha256:[a-f0-9]{64}|blake3:[a-f0-9]{64}|sha512:[a-f0-9]{128})$`)
	pathRE   = regexp.MustCompile(`^/v2/(.+)/(?:(blobs|manifests|referrers)/([^/]+)|(tags)/list)$`)
)

func nameOracle(s string) bool { return len(s) <= 255 && nameRE.MatchString(s) }

func digestOracle(s string) bool {
	algorithm, _, _ := strings.Cut(s, ":")
	switch algorithm {
	case "sha256", "sha512", "blake3":
		return knownRE.MatchString(s)
	}
	return len(s) <= 255 && digestRE.MatchString(s)
}

// parseOracle parses a path in the slow and obvious way. The greedy (.+) gives the rightmost match.
func parseOracle(path string) bool {
	if path == "/v2" || path == "/v2/" {
		return true
	}
	m := pathRE.FindStringSubmatch(path)
	if m == nil || !nameOracle(m[1]) {
		return false
	}
	last := strings.NewReplacer("%3A", ":", "%3a", ":").Replace(m[3])
	switch m[2] {
	case "blobs", "referrers":
		return digestOracle(last)
	case "manifests":
		return digestOracle(last) || tagRE.MatchString(last)
	}
	return m[4] == "tags"
}

// pick joins up to n random pieces. The results are close to the edge of a grammar, which random bytes never are.
func pick(r *rand.Rand, n int, pieces ...string) string {
	var b strings.Builder
	for range r.IntN(n + 1) {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return b.String()
}

func TestGrammarAgainstPatterns(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	accepted := map[string]int{}
	check := func(what, s string, got, want bool) {
		t.Helper()
		if got != want {
			t.Fatalf("%s %q: got %v, the pattern says %v", what, s, got, want)
		}
		if got {
			accepted[what]++
		}
	}
	for range 60_000 {
		s := pick(r, 8, "a", "z9", "0", ".", "_", "__", "-", "--", "/", "A", "%", strings.Repeat("b", 60))
		check("name", s, oci.ValidName(s), nameOracle(s))

		s = pick(r, 8, "a", "Z9", ".", "_", "-", "/", ":", strings.Repeat("c", 30))
		check("tag", s, oci.ValidTag(s), tagRE.MatchString(s))

		s = pick(r, 6, "sha256", "sha512", "blake3", "x", "+", ".", "_", ":", ":", hex64, hex64, "A", "=", "g")
		_, err := oci.ParseDigest(s)
		check("digest", s, err == nil, digestOracle(s))

		s = "/v2/" + pick(r, 7, "a", "a/", "b/", "/", "blobs/", "manifests/", "referrers/", "tags/", "list", "tags/list",
			"sha256:"+hex64, "sha256%3A"+hex64, "%3a", "..", "x.y", "_")
		_, err = oci.Parse(s, "")
		check("path", s, err == nil, parseOracle(s))
	}
	for _, what := range []string{"name", "tag", "digest", "path"} {
		if accepted[what] < 500 {
			t.Errorf("only %d valid %ss among the samples: the test shows nothing", accepted[what], what)
		}
	}
}

func TestNameLength(t *testing.T) {
	for length, want := range map[int]bool{0: false, 1: true, 255: true, 256: false, 8192: false} {
		if got := oci.ValidName(strings.Repeat("a", length)); got != want {
			t.Errorf("name of %d characters: %v", length, got)
		}
	}
}
