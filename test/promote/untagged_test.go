package promote

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ociproxy/test/ctl"
	"ociproxy/test/registry"
	"ociproxy/test/source"
)

// TestUntagged: CNCF distribution does not list a repository without tags. It answers 404, the same answer as for a
// repository that does not exist. The run still finds images that are promoted by their digest alone in such a
// repository, in staging and in production. So does verify.
func TestUntagged(t *testing.T) {
	t.Parallel()
	staging, prod := registry.Start(t), registry.Start(t)
	src := source.New(staging.Addr, "staging/")
	text := fmt.Sprintf("registries:\n- {name: %s/staging, src: true}\n- {name: %s/prod}\n- {name: %[2]s/mirror}\nimages:\n", staging.Addr, prod.Addr)
	var digests []string
	for n := range 3 {
		repo := fmt.Sprintf("app%d", n)
		d, err := src.Image(repo, "", uint64(n), false, source.NewBlob(uint64(n), 5<<10, "sha256"))
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, d.Digest)
		text += fmt.Sprintf("- name: %s\n  dmap: {%q: []}\n", repo, d.Digest)
	}
	resp, err := http.Get(staging.URL + "/v2/staging/app0/tags/list")
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusNotFound {
		t.Fatalf("the registry lists a repository without tags: %s", resp.Status)
	}
	file := filepath.Join(t.TempDir(), "plain.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	promote := func(args ...string) ctl.Ran {
		t.Helper()
		return ctl.Run(t, ctl.Limit, nil, append([]string{"promote"}, args...)...)
	}
	if r := promote("run", file, "--confirm", "--progress", "none"); r.Code != 0 || !strings.Contains(r.Stdout, ": 6 promotions.") {
		t.Fatalf("run: %v", r)
	}
	if r := promote("verify", file); r.Code != 0 {
		t.Errorf("verify: %v", r)
	}
	if r := promote("run", file, "--confirm", "--progress", "none"); r.Code != 0 || !strings.Contains(r.Stdout, "Nothing to do: 6 promotions of 6 in place.") {
		t.Errorf("the same again: %v", r)
	}
	// An image that is deleted from one destination is reported missing there, and the next run restores it.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, prod.URL+"/v2/mirror/app1/manifests/"+digests[1], http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err = http.DefaultClient.Do(req); err != nil || resp.StatusCode != http.StatusAccepted {
		t.Fatalf("delete: %v, %v", resp, err)
	}
	resp.Body.Close()
	if r := promote("verify", file); r.Code != 8 || strings.Count(r.Stdout, "missing: ") != 1 {
		t.Errorf("verify: %v", r)
	}
	if r := promote("run", file, "--confirm", "--progress", "none"); r.Code != 0 || !strings.Contains(r.Stdout, ": 1 promotion, ") && !strings.Contains(r.Stdout, ": 1 promotion.") {
		t.Errorf("run: %v", r)
	}
	// A snapshot names the repositories that it cannot list. It does not silently leave them out.
	r := promote("snapshot", prod.Addr+"/prod")
	if r.Code != 1 || !strings.Contains(r.Stderr, "3 repositories without a tag: ") || r.Stdout != "" {
		t.Errorf("snapshot: %v", r)
	}
}
