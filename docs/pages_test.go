package docs_test

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// tasks are the operators' pages, by task.
var tasks = []string{
	"docs/operations.md", "docs/install.md", "docs/images.md", "docs/kubernetes.md", "docs/sizing.md",
	"docs/clients.md", "docs/client-configs.md", "docs/doctor.md",
	"docs/upgrade.md", "docs/console.md", "docs/monitor.md", "docs/tutorial.md",
	"docs/s3-compatible.md", "docs/proving-a-deployment.md", "docs/release-to-production.md", "docs/replay.md",
	"docs/how-it-works.md", "docs/client-simulation.md", "docs/troubleshoot.md", "docs/faults.md", "docs/runbook.md",
	"docs/runbook-config.md", "docs/runbook-mirror.md", "docs/emergency-switch.md", "docs/glossary.md", "docs/firewalls.md",
	"docs/rollout.md", "docs/storage-kinds.md", "docs/infrastructure.md", "docs/creating-stores.md",
	"docs/adding-a-region.md", "docs/adding-a-cloud.md", "docs/infra-check.md", "docs/edge-rules.md",
	"docs/two-fronts.md", "docs/rollups.md", "docs/store-logs.md", "docs/cost.md", "docs/report.md",
	"docs/reconciling-bills.md", "docs/planning-regions.md", "docs/public-status.md",
	"docs/dashboards.md", "docs/objectives.md", "docs/runbook-objectives.md",
}

// TestPagesAreShort: the page of everything had 1,086 lines.
func TestPagesAreShort(t *testing.T) {
	for _, name := range tasks {
		if n := strings.Count(read(t, name), "\n"); n > 500 {
			t.Errorf("%s has %d lines: split it", name, n)
		}
	}
}

// TestPagesBeginWithTheirPurpose: below its title each page says for whom or for what it is, before any list or heading.
func TestPagesBeginWithTheirPurpose(t *testing.T) {
	for _, name := range tasks {
		_, rest, ok := strings.Cut(read(t, name), "\n\n")
		first, _, _ := strings.Cut(rest, "\n\n")
		if !ok || !strings.HasPrefix(first, "For ") {
			t.Errorf("%s does not say first for whom it is: %q", name, first)
		}
	}
}

// TestPagesAreListed: each page can be found from the first one, and the glossary from the README too.
func TestPagesAreListed(t *testing.T) {
	for _, name := range pages(t) {
		if filepath.Dir(name) == "docs" && name != "docs/README.md" &&
			!strings.Contains(read(t, "docs/README.md"), "]("+filepath.Base(name)+")") {
			t.Errorf("docs/README.md does not list %s", name)
		}
	}
	if !strings.Contains(read(t, "README.md"), "](docs/glossary.md)") {
		t.Error("README.md does not link the glossary")
	}
}

// TestPagesQuoteTheCode: what a page quotes of logs and errors is what the programs say. A word that was replaced in the
// whole code once made a line of the log nonsense ("inspections fine from here"), while the runbook had it right.
func TestPagesQuoteTheCode(t *testing.T) {
	code := source(t)
	quoted := regexp.MustCompile("`((?:a|an|[a-z]{3,}) [a-z][a-z,:' …-]*)`")
	command := regexp.MustCompile(` -|^(make|systemctl|helm|kubectl|docker|tofu) |^(check|inventory) (ls|diff|verify|rebuild)|^(promote|audit|mirror) `)
	found := 0
	for _, name := range tasks {
		for _, m := range quoted.FindAllStringSubmatch(read(t, name), -1) {
			if command.MatchString(m[1]) {
				continue
			}
			for part := range strings.SplitSeq(m[1], "…") {
				if part = strings.Trim(part, " "); part != "" {
					found++
					if !strings.Contains(code, part) {
						t.Errorf("%s quotes %q, which no program says", name, part)
					}
				}
			}
		}
	}
	if found < 60 {
		t.Errorf("only %d quotes found: is the pattern still right?", found)
	}
}

// source is all code of the programs, without tests.
func source(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, dir := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err == nil && filepath.Ext(path) == ".go" && !strings.HasSuffix(path, "_test.go") {
				name, _ := filepath.Rel(root, path)
				all.WriteString(read(t, name))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}
