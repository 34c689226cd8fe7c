package tutorial

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ociproxy/test/ctl"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// TestFirewalls runs the commands of docs/firewalls.md against a server with the config of the page. Only the address
// of the registry is another one.
func TestFirewalls(t *testing.T) {
	const name = "firewalls.md"
	config := regexp.MustCompile("(?ms)^```yaml\n(version: 1\n.*?)^```$").FindStringSubmatch(page(t, name))
	if config == nil {
		t.Fatal("the page has no config: is the pattern still right?")
	}
	dir, bin := t.TempDir(), t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	ports := proxy.Config{"listen": parts.FreeAddr(t), "admin": parts.FreeAddr(t)}
	text := config[1] + "listen: \"" + ports["listen"].(string) + "\"\nadmin: \"" + ports["admin"].(string) + "\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := proxy.StartFile(t, file, ports)
	if err := os.Symlink(ctl.Binary(t), filepath.Join(bin, "oci-proxyctl")); err != nil {
		t.Fatal(err)
	}
	s := newShell(t, shellOptions{dir: dir, path: bin})
	here := strings.NewReplacer("https://registry.example.org", "http://"+p.Addr, "registry.example.org", p.Addr)
	all := steps(t, name)
	if len(all) < 7 {
		t.Fatalf("only %d commands found: is the pattern still right?", len(all))
	}
	for i := range all {
		command := all[i].command
		all[i].command = here.Replace(command)
		s.check(t, &all[i])
		all[i].command = command
	}
	if *update {
		write(t, name, all)
	}
}
