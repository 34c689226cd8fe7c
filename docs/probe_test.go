package docs_test

import (
	"strings"
	"testing"

	"ociproxy/internal/probe"
)

// TestProbeChecksAreExplained: a finding links the place that explains its check, so each check has its heading.
func TestProbeChecksAreExplained(t *testing.T) {
	page := read(t, "docs/proving-a-deployment.md")
	_, list, _ := strings.Cut(page, "\n## The checks\n")
	for _, c := range probe.Checks() {
		if !strings.Contains(list, "\n#### "+c.ID+"\n") {
			t.Errorf("docs/proving-a-deployment.md has no heading %q", c.ID)
		}
		if page, anchor, _ := strings.Cut(c.Doc(), "#"); page != "docs/proving-a-deployment.md" || strings.ContainsAny(anchor, ".") {
			t.Errorf("%s leads to %s", c.ID, c.Doc())
		}
	}
}
