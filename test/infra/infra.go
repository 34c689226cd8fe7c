// Package infra runs OpenTofu on the modules of deploy/terraform, without accounts and without the real providers: test/infra/stub
// stands in for them.
//
// It knows how to check, plan and apply a module, and how to check a plan with the policies of deploy/terraform/policy. It must
// not know what the modules make.
package infra

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"ociproxy/test/infra/schema"
	"ociproxy/test/parts"
)

// limit is how long a call of OpenTofu may take. It takes less than a second on an idle machine.
const limit = 2 * time.Minute

// Dir returns the directory of the modules.
func Dir() string { return filepath.Join(parts.Root(), "deploy", "terraform") }

// Copy returns the directory of a copy of all modules, which the caller may change. It copies all of deploy, because modules
// read the roles of deploy/permissions.
func Copy(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Dir(Dir()))); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "terraform")
}

// Tofu runs OpenTofu in a directory with the stubs in place of the providers, and returns its standard output. The error has
// what it printed.
func Tofu(t testing.TB, dir string, args ...string) (string, error) {
	t.Helper()
	return parts.Try(t, limit, "env", append([]string{"TF_CLI_CONFIG_FILE=" + cliConfig(t), "TF_IN_AUTOMATION=1",
		parts.Find(t, "tofu"), "-chdir=" + dir}, args...)...)
}

// Must runs OpenTofu like [Tofu]. If it fails, the test fails.
func Must(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, err := Tofu(t, dir, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Init prepares a directory, and the modules that it calls.
func Init(t testing.TB, dir string) {
	t.Helper()
	Must(t, dir, "init", "-no-color", "-input=false", "-backend=false")
}

// Plan returns the plan of a directory as JSON, in a file.
func Plan(t testing.TB, dir string, args ...string) (file string, err error) {
	t.Helper()
	if _, err := Tofu(t, dir, append([]string{"plan", "-no-color", "-input=false", "-out=plan"}, args...)...); err != nil {
		return "", err
	}
	out, err := Tofu(t, dir, "show", "-json", "plan")
	if err != nil {
		return "", err
	}
	file = filepath.Join(t.TempDir(), "plan.json")
	return file, os.WriteFile(file, []byte(out), 0o600)
}

// Applied returns the plan of a directory after it was applied, as JSON in a file. It has the values that only the providers
// know, as the stubs make them up.
func Applied(t testing.TB, dir string, args ...string) (file string, err error) {
	t.Helper()
	if _, err := Tofu(t, dir, append([]string{"apply", "-no-color", "-input=false", "-auto-approve"}, args...)...); err != nil {
		return "", err
	}
	return Plan(t, dir, args...)
}

// Conftest checks plans with the policies and returns what they deny.
func Conftest(t testing.TB, policies string, plans ...string) []string {
	t.Helper()
	out, err := parts.Try(t, limit, parts.Find(t, "conftest"), append([]string{"test", "--no-color", "--all-namespaces", "--output=json",
		"--policy", policies}, plans...)...)
	var results []struct {
		Failures []struct{ Msg string }
	}
	if json.Unmarshal([]byte(out), &results) != nil {
		t.Fatal(err)
	}
	var denied []string
	for _, r := range results {
		for _, f := range r.Failures {
			denied = append(denied, f.Msg)
		}
	}
	return denied
}

// cliConfig returns the file that makes OpenTofu take the stubs.
func cliConfig(t testing.TB) string {
	t.Helper()
	stub := parts.BuildTest(t, "./infra/stub", "-ldflags=-s -w")
	file, err := mirror(stub)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

var mirrors = struct {
	sync.Mutex
	file string
}{}

// mirror makes a directory with the stub under the names of all providers, once.
func mirror(stub string) (string, error) {
	mirrors.Lock()
	defer mirrors.Unlock()
	if mirrors.file != "" {
		return mirrors.file, nil
	}
	dir, err := os.MkdirTemp("", "providers")
	if err != nil {
		return "", err
	}
	names, err := schema.Names()
	if err != nil {
		return "", err
	}
	for _, name := range names {
		p, err := schema.Load(name)
		if err != nil {
			return "", err
		}
		to := filepath.Join(dir, "registry.opentofu.org", p.Source, p.Version, runtime.GOOS+"_"+runtime.GOARCH)
		if err := os.MkdirAll(to, 0o755); err != nil {
			return "", err
		}
		if err := os.Symlink(stub, filepath.Join(to, "terraform-provider-"+name)); err != nil {
			return "", err
		}
	}
	mirrors.file = filepath.Join(dir, "tofurc")
	text := fmt.Sprintf("provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\ndisable_checkpoint = true\n", dir)
	return mirrors.file, os.WriteFile(mirrors.file, []byte(text), 0o600)
}

// Modules returns the directories below dir that have files of Terraform, relative to it.
func Modules(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.tf"))
	if err != nil {
		t.Fatal(err)
	}
	deeper, err := filepath.Glob(filepath.Join(dir, "*", "*", "*.tf"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	seen := map[string]bool{}
	for _, file := range append(files, deeper...) {
		module := strings.TrimPrefix(filepath.Dir(file), dir+string(filepath.Separator))
		if !seen[module] {
			seen[module] = true
			found = append(found, module)
		}
	}
	return found
}
