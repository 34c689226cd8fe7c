package probe_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"ociproxy/test/ctl"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// TestSlowProbe probes a good deployment, which must be green as all classes, and then one with each fault that a front,
// a store or a registry can have here, which must be red by the right check.
func TestSlowProbe(t *testing.T) {
	parts.Slow(t)
	if !parts.Apart(t, 10*time.Minute, func() []string {
		parts.Find(t, "haproxy")
		return []string{"OCIPROXY_BINARY=" + proxy.Binary(t), "OCIPROXYCTL_BINARY=" + ctl.Binary(t)}
	}) {
		return
	}
	hosts(t)
	w := newWorld(t)
	r, ran := w.probe(t)
	if bad := r.bad(); len(bad) > 0 || ran.Code != 0 {
		t.Fatalf("%+v in a good deployment\n%s", bad, ran)
	}
	t.Logf("%d classes: %d requests, %d bytes, %.1f s", len(r.Classes), r.Cost.Requests, r.Cost.Bytes, r.Cost.Seconds)
	for _, class := range []string{"self", "aws/us-east-1 ipv4", "aws/us-east-1 ipv6", "aws/eu-central-1 ipv4", "aws/eu-west-1 ipv4", "unknown ipv4", "unknown ipv6"} {
		if !slices.Contains(r.Classes, class) {
			t.Errorf("not asked as %s: %q", class, r.Classes)
		}
	}
	for _, f := range faults(t, w) {
		t.Run(f.name, func(t *testing.T) {
			if f.check == "decision" || f.check == "tag.same" { // after the faults before, the proxy may still hold one for broken
				w.recovered(t)
			}
			undo := func() {}
			if f.change != nil {
				undo = f.change(t)
			}
			w.haproxy(t, f.front)
			r, ran := w.probe(t, append([]string{"--as", "aws/eu-central-1"}, f.args...)...)
			undo()
			if !slices.ContainsFunc(r.bad(), func(b finding) bool {
				return b.Check == f.check && strings.Contains(b.Detail, f.detail) && b.Hint != ""
			}) {
				t.Errorf("no %s with %q:\n%+v", f.check, f.detail, r.bad())
			}
			if ran.Code == 0 {
				t.Error("exit code 0")
			}
		})
	}
	w.recovered(t)
	if r, ran := w.probe(t); len(r.bad()) > 0 || ran.Code != 0 {
		t.Errorf("not green again: %+v\n%s", r.bad(), ran)
	}
	// Last, because some commands of the page have no identity: their repeats send this address past the stores.
	t.Run("page", w.page)
}

type broken struct {
	name, check, detail string
	front               *fault
	change              func(t *testing.T) (undo func())
	args                []string
}
