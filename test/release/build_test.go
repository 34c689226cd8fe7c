package release

import (
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"ociproxy/test/parts"
)

// largest is how many bytes each program for linux/amd64 may have. The project promises that: raise no number without a
// reason.
var largest = map[string]int64{"oci-proxy": 20e6, "oci-proxyctl": 64e6, "oci-doctor": 10e6}

var programs = []string{"oci-proxy", "oci-proxyctl", "oci-proxy-demo", "oci-doctor"}

// TestReproducible builds in two clones in different directories. The bytes are the same, the programs need no library,
// and they are not larger than promised.
func TestReproducible(t *testing.T) {
	temp := t.TempDir()
	first, second := filepath.Join(temp, "a"), filepath.Join(temp, "another", "much-longer", "directory")
	clone(t, first, second)
	for _, dir := range []string{first, second} {
		command(t, dir, nil, "make", "build")
	}
	for _, name := range programs {
		file := filepath.Join(first, name)
		sum := digest(t, file)
		if again := digest(t, filepath.Join(second, name)); sum != again {
			t.Errorf("%s has digest %s, and %s when it is built elsewhere", name, sum, again)
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %.1f MB, SHA-256 %s", name, float64(info.Size())/1e6, sum)
		if most := largest[name]; runtime.GOARCH == "amd64" && most > 0 && info.Size() > most {
			t.Errorf("%s has %d bytes, more than %d", name, info.Size(), most)
		}
		static(t, file)
		stamped(t, first, file)
	}
}

// TestSlowReproducible compiles everything again with an empty cache, as on a new machine: the bytes do not come from a
// cache. Only the exhaustive suite does it for the server, which takes three minutes.
func TestSlowReproducible(t *testing.T) {
	parts.Slow(t)
	temp := t.TempDir()
	first, second := filepath.Join(temp, "a"), filepath.Join(temp, "b", "c")
	clone(t, first, second)
	program := "oci-doctor"
	if parts.Exhaustive() {
		program = "oci-proxy"
	}
	command(t, first, nil, "make", "build", "PROGRAMS="+program)
	command(t, second, []string{"GOCACHE=" + filepath.Join(temp, "empty")}, "make", "build", "PROGRAMS="+program)
	if a, b := digest(t, filepath.Join(first, program)), digest(t, filepath.Join(second, program)); a != b {
		t.Errorf("digest %s, and %s when everything is compiled again", a, b)
	}
}

func digest(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// static fails when a program needs a loader or a library, or has symbols for a debugger.
func static(t *testing.T, file string) {
	t.Helper()
	program, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("%s is not static: it has %v", filepath.Base(file), p.Type)
		}
	}
	if program.Section(".dynamic") != nil || program.Section(".symtab") != nil || program.Section(".debug_info") != nil {
		t.Errorf("%s is not static, or not stripped", filepath.Base(file))
	}
}

// stamped fails when a program does not say from which commit it was built, and when that commit was made.
func stamped(t *testing.T, dir, file string) {
	t.Helper()
	commit := strings.TrimSpace(command(t, dir, nil, "git", "rev-parse", "HEAD"))
	made := strings.TrimSpace(command(t, dir, []string{"TZ=UTC"},
		"git", "log", "-1", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%cd"))
	version := strings.TrimSpace(command(t, dir, nil, "git", "describe", "--tags", "--always", "--abbrev=12", "--dirty"))
	said := command(t, dir, nil, file, "--version")
	for _, want := range []string{filepath.Base(file) + " " + version + " ", " commit " + commit + " " + made} {
		if !strings.Contains(said, want) {
			t.Errorf("--version says %q, want %q", said, want)
		}
	}
	if name := filepath.Base(file); name == "oci-proxy-demo" || name == "oci-doctor" {
		return // they have no other commands
	}
	var build struct{ Version, Commit, Time string }
	if err := json.Unmarshal([]byte(command(t, dir, nil, file, "version", "--output", "json")), &build); err != nil {
		t.Fatal(err)
	}
	if build.Version != version || build.Commit != commit || build.Time != made {
		t.Errorf("%s version: %+v, want %s %s %s", file, build, version, commit, made)
	}
}
