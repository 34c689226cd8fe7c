package clientconfig

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// pull is a pull with blocks of the page.
type pull struct {
	client    client
	situation string // A: the proxy is the registry; B: it is a mirror, and the client falls back to the registry
	blocks    []string
	speaks    speech // the proxy
	digest    bool   // pulls by digest; a pull by tag must not ask the proxy
	slow      bool
}

// speech is what the proxy speaks.
type speech int

const (
	publicTLS  speech = iota // HTTPS, with a certificate of an authority that the system trusts
	privateTLS               // HTTPS, with a certificate of an authority that only the blocks make known
	plain                    // HTTP
)

var pulls = []pull{
	{client: containerd1, situation: "B", blocks: []string{"containerd-1", "hosts"}},
	{client: containerd1, situation: "B", blocks: []string{"containerd-1", "ca-containerd", "hosts-ca"}, speaks: privateTLS},
	{client: containerd1, situation: "B", blocks: []string{"containerd-1", "hosts-http"}, speaks: plain},
	{client: containerd1, situation: "A", blocks: []string{"containerd-1", "ca-containerd", "hosts-own"}, speaks: privateTLS},
	{client: containerd1, situation: "A", blocks: []string{"containerd-1", "hosts-own-http"}, speaks: plain},
	{client: ctr1, situation: "B", blocks: []string{"ctr", "hosts"}},
	{client: containerd2, situation: "B", blocks: []string{"containerd-2", "hosts"}, slow: true},
	{client: containerd2, situation: "B", blocks: []string{"containerd-2", "ca-containerd", "hosts-ca"}, speaks: privateTLS, slow: true},
	{client: containerd2, situation: "B", blocks: []string{"containerd-2", "hosts-http"}, speaks: plain, slow: true},
	{client: containerd2, situation: "A", blocks: []string{"containerd-2", "ca-containerd", "hosts-own"}, speaks: privateTLS, slow: true},
	{client: containerd2, situation: "A", blocks: []string{"containerd-2", "hosts-own-http"}, speaks: plain, slow: true},
	{client: ctr2, situation: "B", blocks: []string{"ctr", "hosts"}, slow: true},
	{client: skopeo1, situation: "B", blocks: []string{"registries-digest"}, digest: true},
	{client: crane, situation: "A", blocks: []string{"crane"}},
	{client: crane, situation: "A", blocks: []string{"crane-http"}, speaks: plain},
	{client: regctl, situation: "A", blocks: []string{"regctl"}, slow: true},
	{client: regctl, situation: "A", blocks: []string{"regctl-http"}, speaks: plain, slow: true},
	// One library for all three: skopeo, which is the fastest, reads each block.
	{client: skopeo1, situation: "B", blocks: []string{"registries"}},
	{client: podman, situation: "B", blocks: []string{"registries"}},
	{client: buildah, situation: "B", blocks: []string{"registries"}},
	{client: skopeo1, situation: "B", blocks: []string{"registries-http"}, speaks: plain},
	{client: skopeo1, situation: "A", blocks: []string{"registries-own-http"}, speaks: plain},
	{client: podman, situation: "A", blocks: []string{"registries-own-http"}, speaks: plain},
	{client: skopeo1, situation: "A", blocks: []string{"ca-containers"}, speaks: privateTLS},
	{client: podman, situation: "A", blocks: []string{"ca-containers"}, speaks: privateTLS},
}

func TestPulls(t *testing.T) { runPulls(t, false) }

func TestSlowPulls(t *testing.T) {
	parts.Slow(t)
	runPulls(t, true)
}

func runPulls(t *testing.T, slow bool) {
	s, all := newSite(t), blocks(t)
	for _, c := range pulls {
		if c.slow == slow {
			t.Run(c.client.name+"/"+strings.Join(c.blocks, "+"), func(t *testing.T) { c.run(t, s, all) })
		}
	}
}

func (c pull) run(t *testing.T, s *site, all map[string]block) {
	if c.slow {
		c.client.check(t)
	}
	p := s.start(t, map[speech]*authorities{publicTLS: s.public, privateTLS: s.private}[c.speaks])
	r := c.room(t, s, p, all)
	open := c.client.open(t, r)
	ref := func(tag string) string {
		name := "registry.example.org/" + repository + ":" + tag
		if c.digest {
			name = "registry.example.org/" + repository + "@" + s.images[tag].Digest
		}
		return c.localise(s, p, r.dir, name)
	}

	since := s.mark(p)
	if err := open(ref("1.0")); err != nil {
		t.Fatal(err)
	}
	s.fromStore(t, p, "1.0", since)
	if c.situation == "A" {
		return
	}
	if c.digest {
		since = s.mark(p)
		if err := open(strings.Replace(ref("2.0"), "@"+s.images["2.0"].Digest, ":2.0", 1)); err != nil {
			t.Fatal(err)
		}
		s.fromRegistry(t, "2.0", since)
	}

	p.Signal(t, syscall.SIGKILL)
	p.Wait(t, limit)
	for i := range r.blocks { // for those that have the image's name in their command
		r.blocks[i].text = strings.ReplaceAll(r.blocks[i].text, repository+":1.0", repository+":2.0")
	}
	since = s.mark(p)
	if err := open(ref("2.0")); err != nil {
		t.Fatalf("without the proxy: %v", err)
	}
	s.fromRegistry(t, "2.0", since)
}

// localise replaces the names of the page by those of this machine. In situation A the registry's name leads to the
// proxy.
func (c pull) localise(s *site, p *proxy.Proxy, dir, text string) string {
	registry := s.registry.Addr
	if c.situation == "A" {
		registry = p.Addr
	}
	return strings.NewReplacer(
		"registry.example.org", registry,
		"oci-proxy.example.org", p.Addr,
		"/etc/containers/", dir+"/.config/containers/", // a user's directory for the same files, which is read too
		"/etc/", dir+"/etc/",
	).Replace(text)
}

// room makes the room of a client and writes the blocks that are files.
func (c pull) room(t *testing.T, s *site, p *proxy.Proxy, all map[string]block) *room {
	t.Helper()
	r := &room{dir: parts.ShortDir(t)}
	r.env = []string{s.public.Trust(), "HOME=" + r.dir}
	var install []block
	for _, name := range c.blocks {
		b, ok := all[name]
		if !ok {
			t.Fatalf("docs/client-configs.md has no block %s", name)
		}
		b.text, b.path = c.localise(s, p, r.dir, b.text), c.localise(s, p, r.dir, b.path)
		r.blocks = append(r.blocks, b)
		switch {
		case b.path != "":
			write(t, b.path, b.text)
		case strings.Contains(b.text, "install "):
			install = append(install, b)
		}
	}
	ca, err := os.ReadFile(s.private.File)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(r.dir, "ca.crt"), string(ca))
	for _, b := range install {
		if err := r.sh(t, commandOf(b)); err != nil {
			t.Fatal(err)
		}
	}
	return r
}
