package rollout

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/cli"
	"ociproxy/test/ctl"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// TestSlowPage runs the commands of docs/release-to-production.md as they are printed.
func TestSlowPage(t *testing.T) {
	if !begin(t) {
		return
	}
	w, c := deployed(t)
	w.hurry(t)
	file := w.write(t, "config", w.configuration(storeUS, storeAz).With(proxy.Map{"route": proxy.Map{"costWeight": 4}}))
	w.ctl(t, sandbox, "ci", "config", "publish", file, "--ring", "all", "--why", "the sandbox is first")
	is := hash(t, file)
	parts.Poll(t, 2*time.Minute, "the sandbox", func() error {
		return w.instance("sandbox-1").has("1", "ociproxy_config_info", `hash="`+is+`"`)
	})
	w.gates(t, "gates", w.judges(t), "soak: 20s", "soak: 10s")
	for name, program := range map[string]string{"oci-proxy": proxy.Binary(t), "oci-proxyctl": ctl.Binary(t)} {
		if err := os.Symlink(program, filepath.Join(w.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	text, err := os.ReadFile(filepath.Join(parts.Root(), "docs", "release-to-production.md"))
	if err != nil {
		t.Fatal(err)
	}
	commands := 0
	for _, block := range regexp.MustCompile("(?ms)^ *```sh\n(.*?)^ *```").FindAllStringSubmatch(string(text), -1) {
		for command := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", " ")) {
			if command = strings.TrimSpace(command); !strings.HasPrefix(command, "oci-proxy") {
				continue // what needs a cloud
			}
			commands++
			key := "ci"
			if strings.HasPrefix(command, "oci-proxyctl store") {
				key = "oncall"
			}
			p := parts.Start(t, parts.Spec{
				Path: "/bin/sh", Args: []string{"-c", "exec " + command}, Dir: w.dir, Quiet: true,
				Env: append(w.env(production, key), "PATH="+w.dir+":"+os.Getenv("PATH")),
			})
			code := p.Wait(t, 6*time.Minute)
			t.Logf("%s: %d\n%s", command, code, p.Output.Tail(12))
			want := cli.CodeOK
			if strings.Contains(command, "config diff") {
				want = cli.CodeDifferent
			}
			if code != want {
				t.Errorf("%s: exit code %d, want %d\n%s", command, code, want, p.Output.Tail(40))
			}
		}
	}
	if commands < 8 {
		t.Errorf("only %d commands found: is the pattern still right?", commands)
	}
	if s := c.tally(began); s.first > 0 {
		t.Errorf("%s: %v", s, s.examples())
	}
}
