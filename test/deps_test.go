package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/bench/process"
	"ociproxy/test/parts"
)

// forbidden matches modules that the public server and the tool for users must never link: they write nothing and have no
// credentials.
var forbidden = regexp.MustCompile(`^(github\.com/aws/|cloud\.google\.com/|google\.golang\.org/(api|grpc)|github\.com/Azure/|` +
	`github\.com/google/go-containerregistry|github\.com/regclient/|oras\.land/|github\.com/containers/|github\.com/docker/|k8s\.io/)`)

// A release is built with the same tags as everything here.
func TestReleaseTags(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(parts.Root(), "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"\nTAGS := " + process.Tags + "\n", "$(GO) build -tags $(TAGS) "} {
		if !strings.Contains(string(makefile), line) {
			t.Errorf("the Makefile lacks %q", line)
		}
	}
	goreleaser, err := os.ReadFile(filepath.Join(parts.Root(), ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if flag := "[-tags=" + process.Tags + ","; !strings.Contains(string(goreleaser), flag) {
		t.Errorf(".goreleaser.yaml has no %q", flag)
	}
}

// A go.mod has one block for the modules that our code imports, and one for their own dependencies.
func TestModuleBlocks(t *testing.T) {
	for _, file := range []string{"go.mod", "test/go.mod"} {
		text, err := os.ReadFile(filepath.Join(parts.Root(), file))
		if err != nil {
			t.Fatal(err)
		}
		blocks := strings.Split(string(text), "require (\n")[1:]
		if len(blocks) != 2 {
			t.Errorf("%s has %d blocks of modules, want 2", file, len(blocks))
			continue
		}
		for i, block := range blocks {
			block, _, _ = strings.Cut(block, ")")
			for line := range strings.Lines(block) {
				if indirect := strings.HasSuffix(strings.TrimSpace(line), "// indirect"); indirect != (i == 1) {
					t.Errorf("%s: in the wrong block: %s", file, strings.TrimSpace(line))
				}
			}
		}
	}
}

// docs/dependencies.md is the budget. Each program links exactly the modules that the page lists for it, and the page
// gives a reason for every module that our code imports.
func TestDependencies(t *testing.T) {
	budget := readBudget(t)
	for _, program := range []string{"oci-proxy", "oci-proxyctl", "oci-doctor"} {
		t.Run(program, func(t *testing.T) {
			if _, err := os.Stat(filepath.Join(parts.Root(), "cmd", program)); err != nil {
				t.Skip("there is no such program yet")
			}
			linked := modules(t, parts.Root(), "-deps", "./cmd/"+program)
			if diff := cmp.Diff(budget.linked[program], linked); diff != "" {
				t.Errorf("modules of docs/dependencies.md and of the program (-listed +linked):\n%s", diff)
			}
			for _, module := range linked {
				if program != "oci-proxyctl" && forbidden.MatchString(module) {
					t.Errorf("it must not link %s", module)
				}
			}
		})
	}
	t.Run("test module", func(t *testing.T) {
		if diff := cmp.Diff(budget.real, imported(t, filepath.Join(parts.Root(), "test"))); diff != "" {
			t.Errorf("modules of docs/dependencies.md and imported by test/ (-listed +imported):\n%s", diff)
		}
	})
	t.Run("direct", func(t *testing.T) {
		listed := slices.Concat(budget.direct, budget.tests)
		slices.Sort(listed)
		if diff := cmp.Diff(listed, imported(t, parts.Root())); diff != "" {
			t.Errorf("modules of docs/dependencies.md and imported by our code (-listed +imported):\n%s", diff)
		}
	})
}

// budget is what docs/dependencies.md says, sorted.
type budget struct {
	linked        map[string][]string // by program
	direct, tests []string
	real          []string
}

func readBudget(t *testing.T) budget {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(parts.Root(), "docs", "dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	b := budget{linked: map[string][]string{}}
	section := ""
	for line := range strings.Lines(string(data)) {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = strings.TrimSpace(title)
		}
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		module := strings.Trim(cells[1], " `")
		switch {
		case strings.HasPrefix(section, "Linked by"):
			for program := range strings.SplitSeq(cells[2], ",") {
				program = strings.TrimSpace(program)
				b.linked[program] = append(b.linked[program], module)
			}
			if strings.HasPrefix(cells[3], " direct: ") {
				b.direct = append(b.direct, module)
			}
		case strings.HasPrefix(section, "Imported by the tests with real"):
			b.real = append(b.real, module)
		default:
			b.tests = append(b.tests, module)
		}
	}
	for _, list := range b.linked {
		slices.Sort(list)
	}
	slices.Sort(b.real)
	return b
}

// imported returns the modules of the packages that the code in dir imports, its tests included.
func imported(t *testing.T, dir string) []string {
	t.Helper()
	seen := map[string]bool{}
	for _, path := range goList(t, dir, `{{join .Imports "\n"}}{{"\n"}}{{join .TestImports "\n"}}{{"\n"}}{{join .XTestImports "\n"}}`, "./...") {
		// The path of a standard package has no dot before the first slash. C is cgo.
		if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") {
			seen[path] = true
		}
	}
	var packages []string
	for path := range seen {
		packages = append(packages, path)
	}
	return modules(t, dir, packages...)
}

// modules returns the modules of packages, sorted, without our own.
func modules(t *testing.T, dir string, args ...string) []string {
	t.Helper()
	list := goList(t, dir, `{{with .Module}}{{.Path}}{{end}}`, args...)
	list = slices.DeleteFunc(list, func(module string) bool { return module == "ociproxy" || module == "ociproxy/test" })
	slices.Sort(list)
	return slices.Compact(list)
}

func goList(t *testing.T, dir, format string, args ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-tags", process.Tags, "-f", format}, args...)...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v", strings.Join(args, " "), err)
	}
	return strings.Fields(string(out))
}
