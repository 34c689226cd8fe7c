package apply

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"ociproxy/internal/promote"
	"ociproxy/internal/registry"
	"ociproxy/internal/registry/registrytest"
)

// TestListFails: if the list of what refers to an image could not be set, the run sets no tag of the image. The next
// run sets both.
func TestListFails(t *testing.T) {
	for _, which := range []string{"", ".sig"} {
		w, tree := release(t)
		list := registry.FallbackTag(digestOf(t, w.source.has("st/one:v1"))) + which
		w.hosts[0].Fail(func(rw http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/prod/one/manifests/"+list) {
				rw.WriteHeader(http.StatusForbidden)
				return true
			}
			return false
		})
		r := w.must(w.plan(tree), Partial)
		if got := w.hosts[0].has("prod/one:v1"); got != "" || r.Code(nil) != 32|4 {
			t.Errorf("%s could not be set, the tag is %q: %v", list, got, r.Failures)
		}
		if w.hosts[0].has("prod/nested/one:v1") == "" {
			t.Error("another destination was held back")
		}
		w.hosts[0].Fail(nil)
		w.must(w.plan(tree), Done)
		w.finished(tree)
		if w.hosts[0].has("prod/one:"+list) == "" {
			t.Errorf("%s is missing", list)
		}
	}
}

// TestListAppears: since the plan was made, a tag of the kind "sha256-…" that the manifests name has been created, for
// example when this run itself signed the image. The run adds to it.
func TestListAppears(t *testing.T) {
	for _, fresh := range []bool{true, false} {
		w := newWorld(t, 1, 1)
		one := w.image("st/one", "v1", nil, "one")
		list := registry.FallbackTag(digestOf(t, one.Digest.String())) + ".sig"
		ours := w.image("st/one", list, nil, "ours")
		theirs := w.image("st/one", "", nil, "theirs")
		raw := w.source.Manifest("st/one", theirs.Digest.String())
		tree := w.tree(fmt.Sprintf("- {name: one, dmap: {%q: [%s]}}\n", ours.Digest, list), w.hosts[0].Host+"/prod")
		appear := func() {
			for _, text := range []string{"theirs", registrytest.Config("theirs")} {
				w.hosts[0].Blob("prod/one", text)
			}
			w.hosts[0].PutRaw("prod/one", list, raw)
		}
		w.lax = true // what another client put there is in no store
		plan := w.plan(tree)
		if !fresh {
			appear()
		}
		r := w.must(plan, Done, func(o *Options) {
			o.Fresh = fresh
			o.Placed = func(context.Context, *promote.Promotion, []string) (bool, error) {
				if fresh {
					appear()
				}
				return false, nil
			}
		})
		got := w.hosts[0].Manifest("prod/one", list)
		for _, text := range []string{"ours", "theirs"} {
			if !bytes.Contains(got, []byte(sum([]byte(text)))) {
				t.Errorf("fresh %v: the signature %q is missing: %v %s", fresh, text, r.Failures, got)
			}
		}
	}
}

// TestAuditSigned: a new signature is logged as a write.
func TestAuditSigned(t *testing.T) {
	w, tree := release(t)
	var log bytes.Buffer
	w.must(w.plan(tree), Done, func(o *Options) {
		o.Audit = &log
		o.Placed = func(_ context.Context, p *promote.Promotion, _ []string) (bool, error) { return p.Image == "one", nil }
	})
	var signed []Entry
	for line := range strings.Lines(log.String()) {
		var e Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Action == Signed {
			signed = append(signed, e)
		}
	}
	if len(signed) != 1 || signed[0].Repository != w.hosts[0].Host+"/prod/one" || signed[0].Digest.String() != w.source.has("st/one:v1") {
		t.Errorf("the audit log says of signatures: %+v", signed)
	}
}

// TestLate: an artifact that refers to an image came after the image was promoted. It is promoted when manifests list
// it, and is added to the existing list.
func TestLate(t *testing.T) {
	w := newWorld(t, 1, 0)
	one := w.image("st/one", "v1", nil, "one")
	list := registry.FallbackTag(digestOf(t, one.Digest.String()))
	w.image("st/one", list+".sig", nil, "early")
	early := w.image("st/one", "", &one, "early referrer")
	images := fmt.Sprintf("- {name: one, dmap: {%q: [v1]}}\n", one.Digest)
	w.must(w.plan(w.tree(images, w.hosts[0].Host+"/prod")), Done)

	sig := w.image("st/one", list+".sig", nil, "late")
	late := w.image("st/one", "", &one, "late referrer")
	tree := w.tree(fmt.Sprintf("- {name: one, dmap: {%q: [v1], %q: [%s.sig], %q: []}}\n", one.Digest, sig.Digest, list, late.Digest), w.hosts[0].Host+"/prod")
	w.must(w.plan(tree), Done)
	for tag, want := range map[string][]string{
		list + ".sig": {sum([]byte("early")), sum([]byte("late"))},
		list:          {early.Digest.String(), late.Digest.String()},
	} {
		for _, d := range want {
			if got := w.hosts[0].Manifest("prod/one", tag); !bytes.Contains(got, []byte(d)) {
				t.Errorf("%s lacks %s: %s", tag, d, got)
			}
		}
	}
}

// TestListingCut: a registry that ends its list of tags after ten thousand may have signatures that the list does not
// show.
func TestListingCut(t *testing.T) {
	w := newWorld(t, 1, 1)
	one := w.image("st/one", "v1", nil, "one")
	list := registry.FallbackTag(digestOf(t, one.Digest.String()))
	w.image("st/one", list+".sig", nil, "signature")
	tree := w.tree(fmt.Sprintf("- {name: one, dmap: {%q: [v1]}}\n", one.Digest), w.hosts[0].Host+"/prod")
	plan := w.plan(tree)
	w.source.Fail(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/tags/list") {
			return false
		}
		tags := make([]string, 10_000)
		for i := range tags {
			tags[i] = fmt.Sprintf("t%d", i)
		}
		_ = json.NewEncoder(rw).Encode(map[string]any{"child": []string{}, "manifest": map[string]any{}, "tags": tags})
		return true
	})
	w.must(plan, Done)
	if w.hosts[0].has("prod/one:"+list+".sig") == "" {
		t.Error("the signature is missing")
	}
}
