package probe_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"ociproxy/test/ctl"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// page runs the commands of docs/proving-a-deployment.md as they are printed, with the deployment at the names that they
// use.
func (w *world) page(t *testing.T) {
	dir := t.TempDir()
	config := w.config.With(proxy.Map{"mirror": proxy.Map{"source": "up-us", "repositories": proxy.Map{"list": proxy.List{"pause"}}}})
	for _, file := range []string{"config.yaml", "sandbox.yaml"} {
		config.Write(t, filepath.Join(dir, file))
	}
	if err := os.Symlink(ctl.Binary(t), filepath.Join(dir, "oci-proxyctl")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(parts.Root(), "docs", "proving-a-deployment.md"))
	if err != nil {
		t.Fatal(err)
	}
	commands := 0
	for _, block := range regexp.MustCompile("(?ms)^ *```sh\n(.*?)^ *```").FindAllStringSubmatch(string(text), -1) {
		for command := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", " ")) {
			if command = strings.TrimSpace(command); command == "" {
				continue
			}
			commands++
			w.printed(t, dir, command)
			if strings.Contains(command, "key new") { // the servers have the key of this test
				if err := os.Remove(filepath.Join(dir, "probe.key")); err != nil {
					t.Error(err)
				}
				if err := os.Symlink(w.key, filepath.Join(dir, "probe.key")); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if commands < 6 {
		t.Errorf("only %d commands found: is the pattern still right?", commands)
	}
}

// printed runs one command. A monitor is stopped after its first run.
func (w *world) printed(t *testing.T, dir, command string) {
	t.Helper()
	p := parts.Start(t, parts.Spec{
		Path: "/bin/sh", Args: []string{"-c", "exec " + command}, Dir: dir, Quiet: true,
		Env: []string{"PATH=" + dir + ":" + os.Getenv("PATH"), w.authority.Trust()},
	})
	if strings.Contains(command, "--every") {
		address := regexp.MustCompile(`--listen (\S+)`).FindStringSubmatch(command)[1]
		parts.Poll(t, time.Minute, "the monitor's first run", parts.HTTP("http://"+address+"/-/ready", 200))
		p.Signal(t, syscall.SIGINT)
	}
	if code := p.Wait(t, 2*time.Minute); code != 0 {
		t.Errorf("%s: exit code %d\n%s", command, code, p.Output.Tail(40))
	}
}
