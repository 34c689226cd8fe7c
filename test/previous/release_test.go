package previous

import (
	"slices"
	"testing"
	"time"

	"ociproxy/test/ctl"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// previousCommit is the previous release. No release is tagged yet, so it is the last commit before configurations could
// be published. When a release is tagged, put its commit here: `git rev-parse 'v1.0.0^{commit}'`.
const previousCommit = "670074dd69e61f15ad2601949fecfa02fb0214e3"

// release is one version of the programs.
type release struct{ name, server, tool string }

func previous(t testing.TB) release {
	t.Helper()
	return release{"previous", parts.BuildAt(t, previousCommit, "oci-proxy"), parts.BuildAt(t, previousCommit, "oci-proxyctl")}
}

func current(t testing.TB) release {
	t.Helper()
	return release{"current", proxy.Binary(t), ctl.Binary(t)}
}

// run runs one of the programs to its end. If it fails, the test fails.
func run(t testing.TB, env []string, program string, args ...string) string {
	t.Helper()
	p := parts.Start(t, parts.Spec{Path: program, Args: args, Env: env, Quiet: true})
	if code := p.Wait(t, 3*time.Minute); code != 0 {
		t.Fatalf("%s %v: exit code %d\n%s", program, args, code, p.Output.Tail(40))
	}
	return p.Output.String()
}

// orders are the upgrade, and the way back.
func orders(t testing.TB) map[string][2]release {
	t.Helper()
	both := []release{previous(t), current(t)}
	back := slices.Clone(both)
	slices.Reverse(back)
	return map[string][2]release{"upgrade": [2]release(both), "roll back": [2]release(back)}
}
