package probe

import (
	"net/http"
	"slices"
	"strings"
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

// When nobody can be asked, each class of clients counts as failing: otherwise a monitor of a name that is down would see
// no wrong decision.
func TestANameThatIsDownFailsForAll(t *testing.T) {
	w := newWorld(t)
	w.faults["name"] = func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }
	r := w.run()
	for _, class := range []string{Self.Name, virginia.Name, nowhere.Name} {
		if !slices.ContainsFunc(r.Findings, func(f Finding) bool {
			return f.As == class && f.Proof == Decision && f.Result == judge.Failed
		}) {
			t.Errorf("%s does not count:\n%s", class, show(r))
		}
	}
	w = newWorld(t)
	w.faults["name"] = func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get(identityHeader) != "" {
			rw.Header().Set(identityHeader, "foreign-key")
			rw.WriteHeader(http.StatusForbidden)
		}
		return r.Header.Get(identityHeader) != ""
	}
	r = w.run()
	if !slices.ContainsFunc(r.Findings, func(f Finding) bool {
		return f.As == virginia.Name && f.Check == idIdentity && f.Proof == Decision && strings.Contains(f.Detail, "foreign-key")
	}) {
		t.Errorf("a refused identity does not count:\n%s", show(r))
	}
}

// A monitor without an identity asks the same all day. Its requests must not look to the server like downloads that fail,
// which only a GET does.
func TestDecisionsOfAnyoneAreNoDownloads(t *testing.T) {
	w := newWorld(t)
	w.opt.Decisions, w.opt.Sign, w.opt.Classes = true, nil, nil
	w.faults["name"] = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/sha256") {
			t.Errorf("GET %s", r.URL.Path)
		}
		return false
	}
	if r := w.run(); len(bad(r)) > 0 {
		t.Error(show(r))
	}
}
