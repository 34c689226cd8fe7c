package clientconfig

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/test/parts"
)

// block is a marked block of the page.
type block struct {
	name string
	path string // of the file, which its first line names in a comment; empty if it is not a file
	text string
}

var marked = regexp.MustCompile("(?m)^<!-- block: (\\S+) -->\n```[a-z]+\n((?s:.*?))^```$")

func page(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(parts.Root(), "docs", "client-configs.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blocks reads the blocks of the page, by name.
func blocks(t testing.TB) map[string]block {
	t.Helper()
	text, all := page(t), map[string]block{}
	for _, m := range marked.FindAllStringSubmatch(text, -1) {
		b := block{name: m[1], text: m[2]}
		if first, _, _ := strings.Cut(b.text, "\n"); strings.HasPrefix(first, "# /") {
			b.path = strings.TrimPrefix(first, "# ")
		}
		if _, twice := all[b.name]; twice {
			t.Errorf("two blocks have the name %s", b.name)
		}
		all[b.name] = b
	}
	if marks := strings.Count(text, "<!-- block: "); marks != len(all) {
		t.Errorf("%d marks, but %d blocks: a mark stands on the line before ```", marks, len(all))
	}
	return all
}

// The page says of each block what the tests do with it.
func TestPageSaysWhatIsTested(t *testing.T) {
	pulledWith, situations := map[string][]string{}, map[string][]string{}
	for _, c := range pulls {
		for _, name := range c.blocks {
			pulledWith[name] = append(pulledWith[name], c.client.name)
			situations[name] = append(situations[name], c.situation)
		}
	}
	var rows []string
	for _, name := range slices.Sorted(maps.Keys(blocks(t))) {
		lookup, looked := lookups[name]
		switch {
		case len(pulledWith[name]) > 0:
			rows = append(rows, fmt.Sprintf("| `%s` | pulled with %s | %s |", name, listed(pulledWith[name]), listed(situations[name])))
		case looked:
			rows = append(rows, fmt.Sprintf("| `%s` | looked up the keys in `%s` | %s |", name, pinned(t, lookup.source), lookup.situation))
		default:
			t.Errorf("no test uses block %s", name)
		}
	}
	var got []string
	for line := range strings.Lines(page(t)) {
		if strings.HasPrefix(line, "| `") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	if diff := cmp.Diff(rows, got); diff != "" {
		t.Errorf("the table of docs/client-configs.md is not what the tests do (-tests +page):\n%s\nIt should be:\n%s", diff, strings.Join(rows, "\n"))
	}
}

// listed returns different words in order.
func listed(words []string) string {
	return strings.Join(slices.Compact(slices.Sorted(slices.Values(words))), ", ")
}

// pinned returns the module and version of a part, from scripts/parts.txt.
func pinned(t testing.TB, part string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(parts.Root(), "scripts", "parts.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 3 && f[2] == part {
			return f[3]
		}
	}
	t.Fatalf("scripts/parts.txt has no %s", part)
	return ""
}
