package demo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/config"
)

// TestConfig checks that the config file shown to users is valid, causes no
// warning and describes the world.
func TestConfig(t *testing.T) {
	w := newTestWorld(t)
	dir := t.TempDir()
	path, err := w.writeConfig(dir, "127.0.0.1:5050", "127.0.0.1:5051")
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, warning := range cfg.Warnings {
		t.Errorf("warning: %v", warning)
	}
	got := map[string]string{}
	for _, u := range cfg.Upstreams {
		got[u.Name] = u.Place.String() + " " + u.URL + " " + u.Prefix
	}
	for _, s := range cfg.Stores {
		got[s.Name] = s.Place.String() + " " + s.URL + " " + s.Serves.String()
	}
	want := map[string]string{}
	for _, n := range w.nodes {
		want[n.name] = n.place + " " + n.url
		if n.upstream {
			want[n.name] += " " + upstreamPrefix
		} else {
			want[n.name] += blobRoot + "{digest} " + n.serves
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHosts(t *testing.T) {
	root, err := writeHosts(t.TempDir(), "127.0.0.1:5050", "192.0.2.7")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, "127.0.0.1:5050", "hosts.toml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`[host."http://127.0.0.1:5050"]`, `X-Forwarded-For = ["192.0.2.7"]`} {
		if !strings.Contains(string(got), want) {
			t.Errorf("hosts.toml lacks %q:\n%s", want, got)
		}
	}
}
