package probe

import (
	"slices"
	"testing"

	"ociproxy/internal/check/judge"
)

func TestGoodWorld(t *testing.T) {
	w := newWorld(t)
	w.opt.Signed = true
	r := w.run()
	if ids := bad(r); len(ids) > 0 {
		t.Errorf("%q fail in a good world:\n%s", ids, show(r))
	}
	for _, c := range Checks() {
		seen := slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Check == c.ID && f.Result == judge.OK })
		if !seen {
			t.Errorf("%s was never seen passing:\n%s", c.ID, show(r))
		}
	}
	for _, f := range r.Findings {
		if (f.Check == idLayer || f.Check == "resume" && f.As == "self") && f.Proof != Path {
			t.Errorf("%s as %s proves %q", f.Check, f.As, f.Proof)
		}
		if f.Check == "blob" && f.Proof != Decision {
			t.Errorf("%s as %s proves %q", f.Check, f.As, f.Proof)
		}
	}
	t.Logf("%d requests, %d bytes, %.1f s, %d findings", r.Cost.Requests, r.Cost.Bytes, r.Cost.Seconds, len(r.Findings))
}
