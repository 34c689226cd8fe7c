package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/test/parts"
)

// TestPackageScripts runs the scripts of the packages as dpkg and rpm call them, with a systemctl that records its
// calls. An install starts and enables nothing. An upgrade restarts a running server, unless the new version refuses
// its config. Only a removal stops it.
func TestPackageScripts(t *testing.T) {
	program := parts.Build(t, "oci-proxy", "OCIPROXY_BINARY")
	good := string(sample(t))
	const hint = "Nothing is enabled or started"
	restarted := []string{"daemon-reload", "is-active --quiet oci-proxy.service", "try-restart oci-proxy.service"}
	stopped := []string{
		"disable --now oci-proxy-mirror.timer oci-proxy.socket oci-proxy.service", "stop oci-proxy-mirror.service",
	}
	for name, tt := range map[string]struct {
		script  string
		args    []string
		booted  bool // systemd runs
		stopped bool // the server does not run
		config  string
		calls   []string
		said    string // the output contains it
		purged  bool
	}{
		"deb install": {script: "postinstall", args: []string{"configure", ""}, booted: true,
			stopped: true, calls: restarted[:1], said: hint},
		"rpm install": {script: "postinstall", args: []string{"1"}, booted: true,
			stopped: true, calls: restarted[:1], said: hint},
		"install without systemd": {script: "postinstall", args: []string{"configure", ""}, said: hint},
		"deb upgrade": {script: "postinstall", args: []string{"configure", "1.0.0"}, booted: true,
			calls: restarted},
		"rpm upgrade": {script: "postinstall", args: []string{"2"}, booted: true,
			calls: restarted},
		"upgrade of a stopped server": {script: "postinstall", args: []string{"configure", "1.0.0"}, booted: true,
			stopped: true,
			calls:   restarted[:2]},
		"upgrade with a refused config": {script: "postinstall", args: []string{"configure", "1.0.0"}, booted: true,
			config: "version: 99\n",
			calls:  restarted[:2], said: "the old one keeps running\nhint: "},
		"deb rollback":       {script: "postinstall", args: []string{"abort-upgrade", "1.0.0"}, booted: true},
		"deb upgrade begins": {script: "preremove", args: []string{"upgrade", "2.0.0"}, booted: true},
		"rpm upgrade ends":   {script: "preremove", args: []string{"1"}, booted: true},
		"deb remove": {script: "preremove", args: []string{"remove"}, booted: true,
			calls: stopped},
		"rpm remove": {script: "preremove", args: []string{"0"}, booted: true,
			calls: stopped},
		"remove without systemd": {script: "preremove", args: []string{"remove"}},
		"deb removed":            {script: "postremove", args: []string{"remove"}, booted: true, calls: restarted[:1]},
		"deb purged": {script: "postremove", args: []string{"purge"}, booted: true,
			calls: restarted[:1], purged: true},
		"rpm removed": {script: "postremove", args: []string{"0"}, booted: true,
			calls: restarted[:1], purged: true},
		"rpm upgraded": {script: "postremove", args: []string{"1"}, booted: true, calls: restarted[:1]},
	} {
		t.Run(name, func(t *testing.T) {
			root, bin := t.TempDir(), t.TempDir()
			config, asked := filepath.Join(root, "etc/oci-proxy/config.yaml"), filepath.Join(bin, "asked")
			left := []string{
				filepath.Join(root, "var/cache/private/oci-proxy"), filepath.Join(root, "var/lib/private/oci-proxy"),
				filepath.Join(root, "var/cache/oci-proxy-mirror"),
			}
			for _, dir := range append(left, filepath.Dir(config)) {
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if tt.booted {
				if err := os.MkdirAll(filepath.Join(root, "run/systemd/system"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			text, status := good, "0"
			if tt.config != "" {
				text = tt.config
			}
			if tt.stopped {
				status = "3"
			}
			systemctl := "#!/bin/sh\necho \"$*\" >>'" + asked + "'\n[ \"$1\" != is-active ] || exit " + status + "\n"
			for file, content := range map[string]string{config: text, filepath.Join(bin, "systemctl"): systemctl} {
				if err := os.WriteFile(file, []byte(content), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Symlink(program, filepath.Join(bin, "oci-proxy")); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), filepath.Join(parts.Root(), "deploy/package", tt.script+".sh"), tt.args...)
			cmd.Env = append(os.Environ(), "DPKG_ROOT="+root, "PATH="+bin+":"+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), tt.said) || tt.said == "" && len(out) > 0 {
				t.Errorf("%v, it printed %q, want %q", err, out, tt.said)
			}
			calls, _ := os.ReadFile(asked)
			if diff := cmp.Diff(tt.calls, lines(string(calls)), emptyIsNil); diff != "" {
				t.Errorf("systemctl (-want +got):\n%s", diff)
			}
			for _, dir := range left {
				if _, err := os.Stat(dir); os.IsNotExist(err) != tt.purged {
					t.Errorf("%s: %v, want purged %v", dir, err, tt.purged)
				}
			}
		})
	}
}

var emptyIsNil = cmp.Transformer("lines", func(list []string) string { return strings.Join(list, "\n") })
