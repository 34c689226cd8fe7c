package release

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/test/parts"
)

// TestSlowRelease makes a release as `make release-snapshot` does. It verifies the release as SECURITY.md says, and
// installs the package of this machine into a directory.
func TestSlowRelease(t *testing.T) {
	parts.Slow(t)
	if !parts.Exhaustive() {
		t.Skip("exhaustive: its tools take minutes to build (`make test-exhaustive`, scripts/parts.sh release)")
	}
	for _, tool := range []string{"goreleaser", "syft", "cosign", "jq", "dpkg-deb", "rpm"} {
		parts.Find(t, tool)
	}
	dir := filepath.Join(t.TempDir(), "oci-proxy")
	clone(t, dir)
	env := []string{"OCIPROXY_PARTS=" + parts.Dir(), "HOME=" + t.TempDir()}
	for _, name := range []string{"GOCACHE", "GOMODCACHE"} { // without these variables they lie below HOME
		env = append(env, name+"="+strings.TrimSpace(command(t, dir, nil, "go", "env", name)))
	}
	command(t, dir, env, "scripts/release.sh", "snapshot")
	dist := filepath.Join(dir, "dist")
	made := strings.TrimSpace(command(t, dir, nil, "git", "log", "-1", "--format=%ct"))
	version := "0.0.0-snapshot.g" + strings.TrimSpace(command(t, dir, nil, "git", "rev-parse", "--short=12", "HEAD"))

	t.Run("files", func(t *testing.T) { releaseFiles(t, dist, version) })
	t.Run("verify", func(t *testing.T) { verified(t, dist) })
	t.Run("same programs", func(t *testing.T) {
		command(t, dir, nil, "make", "build", "VERSION=v"+version)
		archive := unpacked(t, dist, "oci-proxy_"+version)
		for _, name := range programs {
			from := archive
			if name == "oci-doctor" {
				from = unpacked(t, dist, "oci-doctor_"+version)
			}
			if digest(t, filepath.Join(from, name)) != digest(t, filepath.Join(dir, name)) {
				t.Errorf("make build makes another %s than the release", name)
			}
		}
	})
	t.Run("archive", func(t *testing.T) {
		archive := unpacked(t, dist, "oci-proxy_"+version)
		for _, name := range []string{
			"LICENSE", "README.md", "docs/install.md", "examples/minimal.yaml", "deploy/systemd/oci-proxy.service",
			"deploy/package/config.yaml", "man/man1/oci-proxyctl-mirror.1", "completions/bash/oci-proxy",
			"completions/zsh/_oci-proxyctl", "oci-proxy",
		} {
			// The time is that of the commit, so the archive does not depend on when it was made.
			if info, err := os.Stat(filepath.Join(archive, name)); err != nil {
				t.Error(err)
			} else if strconv.FormatInt(info.ModTime().Unix(), 10) != made {
				t.Errorf("%s was made at %v, want %s", name, info.ModTime(), made)
			}
		}
	})
	t.Run("archive for users", func(t *testing.T) {
		archive := unpacked(t, dist, "oci-doctor_"+version)
		for _, name := range []string{"LICENSE", "oci-doctor", "oci-doctor.sh", "doctor.md", "man/man1/oci-doctor.1", "completions/zsh/_oci-doctor"} {
			if _, err := os.Stat(filepath.Join(archive, name)); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("deb", func(t *testing.T) { installsDeb(t, one(t, dist, "oci-proxy_*_amd64.deb")) })
	t.Run("rpm", func(t *testing.T) { readsRPM(t, one(t, dist, "oci-proxy-*.x86_64.rpm")) })
}

// one returns the only file of dir with a name like pattern.
func one(t *testing.T, dir, pattern string) string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(all) != 1 {
		t.Fatalf("%s: %v, %v", pattern, all, err)
	}
	return all[0]
}

// unpacked unpacks an archive for this machine. what is its name with the version.
func unpacked(t *testing.T, dist, what string) string {
	t.Helper()
	dir, name := t.TempDir(), what+"_linux_amd64"
	command(t, dir, nil, "tar", "-xzf", filepath.Join(dist, name+".tar.gz"))
	return filepath.Join(dir, name)
}

// releaseFiles compares the published files with the list that a release must have.
func releaseFiles(t *testing.T, dist, version string) {
	t.Helper()
	want := []string{"checksums.txt", "checksums.txt.sigstore.json", "cosign.pub", "provenance.sigstore.json"}
	for _, platform := range []string{"linux_amd64", "linux_arm64", "darwin_arm64"} {
		archive := "oci-proxy_" + version + "_" + platform + ".tar.gz"
		doctor := "oci-doctor_" + version + "_" + platform + ".tar.gz"
		want = append(want, archive, archive+".spdx.json", doctor, doctor+".spdx.json")
	}
	packaged := strings.ReplaceAll(version, "-", "~")
	want = append(want, "oci-proxy_"+packaged+"_amd64.deb", "oci-proxy_"+packaged+"_arm64.deb",
		"oci-proxy-"+packaged+"-1.x86_64.rpm", "oci-proxy-"+packaged+"-1.aarch64.rpm")
	slices.Sort(want)
	entries, err := os.ReadDir(dist)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		// goreleaser keeps these files for itself: its view of the config and of the artifacts.
		if !e.IsDir() && !slices.Contains([]string{"config.yaml", "artifacts.json", "metadata.json"}, e.Name()) {
			got = append(got, e.Name())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	for _, name := range []string{"linux_amd64", "darwin_arm64"} {
		listed := lines(command(t, dist, nil, "tar", "-tzf", "oci-proxy_"+version+"_"+name+".tar.gz"))
		server := "oci-proxy_" + version + "_" + name + "/oci-proxy"
		if slices.Contains(listed, server) != strings.HasPrefix(name, "linux") || !slices.Contains(listed, server+"ctl") {
			t.Errorf("%s has %q", name, listed)
		}
	}
}

// verified runs each command of the section of SECURITY.md: on the release, and on a copy that was changed.
func verified(t *testing.T, dist string) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(parts.Root(), "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Verify a release\n")
	section, _, _ = strings.Cut(section, "\n### ")
	var commands []string
	for _, m := range regexp.MustCompile(`(?m)^ *\$ (.+)$`).FindAllStringSubmatch(section, -1) {
		commands = append(commands, m[1])
	}
	if len(commands) != 5 {
		t.Fatalf("SECURITY.md has commands %q: is the pattern still right?", commands)
	}
	run := func(dir, line string) error {
		cmd := exec.CommandContext(t.Context(), "bash", "-o", "pipefail", "-c", line)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "PATH="+parts.Dir()+":"+os.Getenv("PATH"), "HOME="+t.TempDir())
		out, err := cmd.CombinedOutput()
		if err != nil || len(out) == 0 {
			return fmt.Errorf("%s: %w\n%s", line, err, out)
		}
		return nil
	}
	for _, line := range commands {
		if err := run(dist, line); err != nil {
			t.Error(err)
		}
	}
	for name, file := range map[string]string{
		"list": "checksums.txt", "archive": "oci-proxy_*_linux_amd64.tar.gz", "signature": "checksums.txt.sigstore.json",
	} {
		t.Run("other "+name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "dist")
			if err := os.CopyFS(dir, os.DirFS(dist)); err != nil {
				t.Fatal(err)
			}
			target := one(t, dir, file)
			data, err := os.ReadFile(target)
			if err != nil {
				t.Fatal(err)
			}
			data[len(data)/2] ^= 1
			if err := os.WriteFile(target, data, 0o600); err != nil {
				t.Fatal(err)
			}
			var refused int
			for _, line := range commands[:3] {
				if run(dir, line) != nil {
					refused++
				}
			}
			if refused == 0 {
				t.Errorf("no command of SECURITY.md notices that %s was changed", file)
			}
		})
	}
}
