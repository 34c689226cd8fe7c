package release

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"ociproxy/test/parts"
)

// TestSlowPackage makes the packages with nfpm alone, from their description in .goreleaser.yaml, because goreleaser
// takes minutes to build and packs with the same code. It installs the Debian package into a directory, and asks rpm
// about the other.
func TestSlowPackage(t *testing.T) {
	parts.Slow(t)
	nfpm := parts.Find(t, "nfpm")
	for _, tool := range []string{"dpkg", "rpm"} {
		parts.Find(t, tool)
	}
	dir := filepath.Join(t.TempDir(), "oci-proxy")
	clone(t, dir)
	command(t, dir, nil, "make", "build", "manual", "VERSION=v0.0.0-snapshot.test", "MANUAL=.cache/manual",
		"PROGRAMS=oci-proxy oci-proxyctl")
	if err := os.WriteFile(filepath.Join(dir, "nfpm.yaml"), nfpmConfig(t, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	pack := func(packager string) string {
		file := filepath.Join(dir, "package."+packager)
		command(t, dir, nil, nfpm, "pkg", "--config", "nfpm.yaml", "--packager", packager, "--target", file)
		return file
	}
	t.Run("deb", func(t *testing.T) { installsDeb(t, pack("deb")) })
	t.Run("rpm", func(t *testing.T) { readsRPM(t, pack("rpm")) })
}

// nfpmConfig returns the package of .goreleaser.yaml in the form of nfpm, with the programs, which goreleaser adds by
// itself.
func nfpmConfig(t *testing.T, dir string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var release struct{ NFPMs []map[string]any }
	if err := yaml.Unmarshal(data, &release); err != nil || len(release.NFPMs) != 1 {
		t.Fatalf("%d packages, %v", len(release.NFPMs), err)
	}
	p := release.NFPMs[0]
	p["name"], p["arch"], p["platform"], p["version"] = p["package_name"], runtime.GOARCH, "linux", "0.0.0-snapshot.test"
	p["mtime"] = strings.TrimSpace(command(t, dir, nil, "git", "log", "-1", "--format=%cI"))
	contents := p["contents"].([]any)
	for _, name := range []string{"oci-proxy", "oci-proxyctl"} {
		to := filepath.Join(p["bindir"].(string), name)
		contents = append(contents, map[string]any{"src": name, "dst": to, "file_info": map[string]any{"mode": 0o755}})
	}
	p["contents"] = contents
	for _, ofGoreleaser := range []string{"id", "ids", "package_name", "file_name_template", "formats", "bindir"} {
		delete(p, ofGoreleaser)
	}
	out, err := yaml.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// installsDeb installs the package into a directory, upgrades it, removes it and purges it.
func installsDeb(t *testing.T, deb string) {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "etc"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "var/lib/dpkg/status"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dpkg := func(args ...string) string {
		into := []string{"--root=" + root, "--force-script-chrootless", "--force-not-root", "--path-include=*"}
		return command(t, root, nil, "dpkg", append(into, args...)...)
	}
	config := filepath.Join(root, "etc/oci-proxy/config.yaml")
	if said := dpkg("-i", deb); !strings.Contains(said, "Nothing is enabled or started yet") {
		t.Errorf("dpkg -i said %s", said)
	}
	server := filepath.Join(root, "usr/bin/oci-proxy")
	if said := command(t, root, nil, server, "--version"); !strings.HasPrefix(said, "oci-proxy v0.0.0-snapshot.") {
		t.Errorf("--version said %s", said)
	}
	command(t, root, nil, server, "check", config)
	command(t, root, nil, filepath.Join(root, "usr/bin/oci-proxyctl"), "version")
	for _, name := range slices.Concat(units, []string{
		"../../../share/man/man1/oci-proxy.1", "../../../share/man/man1/oci-proxyctl-promote-run.1",
		"../../../share/bash-completion/completions/oci-proxyctl", "../../../share/doc/oci-proxy/docs/install.md",
	}) {
		if _, err := os.Stat(filepath.Join(root, "usr/lib/systemd/system", name)); err != nil {
			t.Error(err)
		}
	}
	enabled, err := filepath.Glob(filepath.Join(root, "etc/systemd/system/*"))
	if err != nil || len(enabled) > 0 {
		t.Errorf("enabled: %q, %v", enabled, err)
	}
	// The operator's config stays.
	if err := os.WriteFile(config, append(sample(t), "# mine\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-i", deb}, {"--remove", "oci-proxy"}} {
		dpkg(args...)
		if text, err := os.ReadFile(config); err != nil || !strings.HasSuffix(string(text), "# mine\n") {
			t.Errorf("dpkg %q: the config is %q, %v", args, text, err)
		}
	}
	if _, err := os.Stat(server); !os.IsNotExist(err) {
		t.Errorf("the program after the removal: %v", err)
	}
	dpkg("--purge", "oci-proxy")
	for _, name := range []string{"etc/oci-proxy", "usr/lib/systemd/system/oci-proxy.service", "usr/share/doc/oci-proxy"} {
		if _, err := os.Stat(filepath.Join(root, name)); !os.IsNotExist(err) {
			t.Errorf("%s after the purge: %v", name, err)
		}
	}
}

// readsRPM asks rpm for the content of the package: the same files, a config that an upgrade does not replace, the
// scripts.
func readsRPM(t *testing.T, file string) {
	t.Helper()
	listed := lines(command(t, "/", nil, "rpm", "-qpl", file))
	for _, want := range []string{
		"/usr/bin/oci-proxy", "/usr/bin/oci-proxyctl", "/etc/oci-proxy/config.yaml",
		"/usr/lib/systemd/system/oci-proxy.socket", "/usr/share/man/man1/oci-proxyctl.1",
	} {
		if !slices.Contains(listed, want) {
			t.Errorf("the package has no %s, but %q", want, listed)
		}
	}
	flags := command(t, "/", nil, "rpm", "-qp", "--queryformat", "[%{FILENAMES} %{FILEFLAGS:fflags}\n]", file)
	if !strings.Contains(flags, "/etc/oci-proxy/config.yaml cn\n") { // config, noreplace
		t.Errorf("the config is not kept in an upgrade:\n%s", flags)
	}
	scripts := command(t, "/", nil, "rpm", "-qp", "--scripts", file)
	for _, want := range []string{
		"postinstall scriptlet", "preuninstall scriptlet", "postuninstall scriptlet", "systemctl daemon-reload",
	} {
		if !strings.Contains(scripts, want) {
			t.Errorf("no %q in the scripts:\n%s", want, scripts)
		}
	}
}
