package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/config"
	"ociproxy/test/parts"
)

// exposed is the highest exposure, on a scale to 10, that `systemd-analyze security` may give a service.
const exposed = 2.0

var units = []string{"oci-proxy.socket", "oci-proxy.service", "oci-proxy-mirror.timer", "oci-proxy-mirror.service"}

// systemd makes a file system with the units, and with the programs that they start.
func systemd(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	for _, dir := range []string{"usr/bin", "bin", "usr/lib/systemd/system", "etc"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	lib := filepath.Join(root, "usr/lib/systemd/system")
	for _, name := range units {
		install(t, filepath.Join(parts.Root(), "deploy/systemd", name), filepath.Join(lib, name), 0o644)
	}
	// systemd-analyze verify needs these files, and the units of systemd that ours name.
	install(t, "/bin/kill", filepath.Join(root, "bin/kill"), 0o755)
	for _, name := range []string{"oci-proxy", "oci-proxyctl"} {
		install(t, "/bin/true", filepath.Join(root, "usr/bin", name), 0o755)
	}
	theirs, err := filepath.Glob("/lib/systemd/system/*.target")
	if err != nil || len(theirs) == 0 {
		t.Fatalf("no units of systemd: %v", err)
	}
	for _, file := range theirs {
		install(t, file, filepath.Join(lib, filepath.Base(file)), 0o644)
	}
	return root
}

func install(t *testing.T, from, to string, mode os.FileMode) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestUnits: systemd accepts the units without a warning, and the services are confined.
func TestUnits(t *testing.T) {
	analyze := parts.Find(t, "systemd-analyze")
	root := systemd(t)
	cmd := exec.CommandContext(t.Context(), analyze, append([]string{"verify", "--man=no", "--root=" + root}, units...)...)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	for _, name := range units {
		if !strings.HasSuffix(name, ".service") {
			continue
		}
		out := command(t, root, nil, analyze, "security", "--offline=true", "--root="+root, name)
		m := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("no level in:\n%s", out)
		}
		level, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: exposure %s", name, m[1])
		if level > exposed {
			t.Errorf("%s has exposure %s, more than %.1f:\n%s", name, m[1], exposed, out)
		}
	}
}

// setting returns the last value of a key in a unit.
func setting(t *testing.T, unit, key string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(parts.Root(), "deploy/systemd", unit))
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile(`(?m)^`+key+`=(.*)$`).FindAllStringSubmatch(string(text), -1)
	if len(all) == 0 {
		t.Fatalf("%s has no %s", unit, key)
	}
	return all[len(all)-1][1]
}

// TestUnitsFitTheConfig: a value that is both in the units and in the sample config is the same in both. systemd waits
// for the drain.
func TestUnitsFitTheConfig(t *testing.T) {
	cfg, err := config.Load(filepath.Join(parts.Root(), "deploy/package/config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if port := setting(t, "oci-proxy.socket", "ListenStream"); cfg.Listen != ":"+port {
		t.Errorf("the socket is %s, the config says %s", port, cfg.Listen)
	}
	if cache := "/var/cache/" + setting(t, "oci-proxy.service", "CacheDirectory"); cfg.Ranges.Cache != cache {
		t.Errorf("the service may write to %s, the config says %s", cache, cfg.Ranges.Cache)
	}
	stop, err := time.ParseDuration(setting(t, "oci-proxy.service", "TimeoutStopSec"))
	if err != nil || stop < cfg.Limits.Drain+30*time.Second {
		t.Errorf("systemd waits %v (%v), and the drain is %v", stop, err, cfg.Limits.Drain)
	}
	mirror := "\nmirror: {source: main, repositories: {list: [pause]}}\n"
	withMirror, err := config.Parse("sample", append(sample(t), mirror...))
	if err != nil {
		t.Fatal(err)
	}
	every := strings.Replace(setting(t, "oci-proxy-mirror.timer", "OnUnitInactiveSec"), "min", "m", 1)
	if d, err := time.ParseDuration(every); err != nil || d != withMirror.Mirror.Interval {
		t.Errorf("the timer repeats after %v (%v), mirror.interval is %v", d, err, withMirror.Mirror.Interval)
	}
}

func sample(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(parts.Root(), "deploy/package/config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}
