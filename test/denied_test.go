package test

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"ociproxy/test/clients"
	"ociproxy/test/image"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
	"ociproxy/test/world"
)

// A manifest that the config denies is refused by its tags too, for GET and HEAD, at the registry to which the client
// would be sent: a replica that is behind has another manifest under the tag. Other tags work.
func TestTagsOfDeniedManifests(t *testing.T) {
	bad, good := image.New(t, 81, 1<<10), image.New(t, 82, 1<<10)
	w := world.Start(t, proxy.Map{"deny": proxy.Map{"digests": proxy.List{bad.Digest}}})
	w.Push(t, bad, "library/app", "bad", world.Canonical, world.Replica)
	w.Push(t, good, "library/app", "good", world.Canonical, world.Replica)
	w.Push(t, bad, "library/app", "repaired", world.Replica) // the replica is behind
	w.Push(t, good, "library/app", "repaired", world.Canonical)
	tests := []struct {
		place, reference string
		denied           bool
	}{
		{world.Virginia, "bad", true},
		{world.Virginia, "good", false},
		{world.Virginia, "repaired", false},
		{world.Virginia, bad.Digest, true},
		{world.Virginia, good.Digest, false},
		{world.Belgium, "bad", true},
		{world.Belgium, "good", false},
		{world.Belgium, "repaired", true},
		{world.Virginia, bad.Arch["amd64"].Digest, false}, // only the index is denied
	}
	for _, tt := range tests {
		want := http.StatusTemporaryRedirect
		if tt.denied {
			want = http.StatusForbidden
		}
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			req, err := http.NewRequestWithContext(t.Context(), method, "http://"+w.At(tt.place)+"/v2/library/app/manifests/"+tt.reference, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultTransport.RoundTrip(req) // it follows no redirect
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s of %s from %s: %d, want %d", method, tt.reference, tt.place, resp.StatusCode, want)
			}
		}
	}
	host := w.At(world.Virginia)
	clients.CranePull(t, host+"/library/app:good", "linux/amd64")
	for _, verb := range []string{"digest", "manifest"} { // by HEAD, and by GET
		out, err := exec.CommandContext(t.Context(), parts.Find(t, "crane"), verb, "--insecure", host+"/library/app:bad").CombinedOutput()
		if err == nil || !strings.Contains(string(out), "403") && !strings.Contains(string(out), "DENIED") {
			t.Errorf("crane %s: %v\n%s", verb, err, out)
		}
	}
}
