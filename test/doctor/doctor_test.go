package doctor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ociproxy/test/parts"
)

const (
	known = "registry.test/sample/app:1.0"
	limit = "3s"
)

// fault is something wrong with the client's network, or with the registry, and what the doctor says of it.
type fault struct {
	name      string
	target    string // "": known
	firewall  string // commands
	set       func(t *testing.T, w *world)
	resolvers []int // nil: one that knows everything
	env       []string
	says      string
	// script is what the script says, if it cannot know as much; script needs only sh and curl. "-": it cannot know at all.
	script string
}

// TestSlowDoctor breaks the network of a client in every way that the doctor knows, and wants the right sentence from the
// program and from the script. Unless tests are exhaustive, it tries one in three with the script.
func TestSlowDoctor(t *testing.T) {
	parts.Slow(t)
	for _, name := range []string{"ip", "nft", "nsenter", "curl", "dnsmasq", "tinyproxy", "registry", "versitygw"} {
		parts.Find(t, name)
	}
	if !parts.Apart(t, 25*time.Minute, func() []string {
		return []string{"DOCTOR=" + parts.Build(t, "oci-doctor", "OCIPROXY_DOCTOR_BINARY"), "OCIPROXY_BINARY=" + parts.Build(t, "oci-proxy", "OCIPROXY_BINARY")}
	}) {
		return
	}
	w := newWorld(t)
	script := filepath.Join(parts.Root(), "internal", "doctor", "oci-doctor.sh")
	scripts := parts.OneIn(3)
	for _, f := range faults(t, w) {
		withScript := scripts()
		t.Run(f.name, func(t *testing.T) {
			w.reset(t)
			if f.firewall != "" {
				sh(t, f.firewall)
			}
			if f.set != nil {
				f.set(t, w)
			}
			if f.resolvers == nil {
				f.resolvers = []int{nResolver}
			}
			if f.target == "" {
				f.target = known
			}
			if slices.Contains(f.env, "TRUST") {
				f.env = trusted(t, w)
			}
			t.Run("program", func(t *testing.T) {
				t.Parallel()
				w.check(t, f, f.says, os.Getenv("DOCTOR"), "--timeout", limit, f.target)
			})
			if f.script == "-" || !withScript {
				return
			}
			if f.script == "" {
				f.script = f.says
			}
			t.Run("script", func(t *testing.T) {
				t.Parallel()
				w.check(t, f, f.script, "/bin/sh", script, "-t", strings.TrimSuffix(limit, "s"), f.target)
			})
		})
	}
}

// check runs a program and compares its sentence and its exit code.
func (w *world) check(t *testing.T, f fault, says string, program ...string) {
	t.Helper()
	begin := time.Now()
	out, code := w.run(t, f.resolvers, f.env, program...)
	t.Logf("%s, exit code %d\n%s", time.Since(begin).Round(time.Millisecond), code, out)
	sentence, _, _ := strings.Cut(out, "\n")
	if sentence != says {
		t.Errorf("it says\n  %s\nwant\n  %s", sentence, says)
	}
	if want := exitCode(says); code != want {
		t.Errorf("exit code %d, want %d", code, want)
	}
}

// exitCode is that of a sentence.
func exitCode(says string) int {
	switch {
	case strings.HasPrefix(says, "All is well"), strings.HasPrefix(says, "Pulls work here"):
		return 0
	case strings.HasSuffix(says, tell), strings.HasSuffix(says, "check its name and tag."):
		return 4
	}
	return 1
}
