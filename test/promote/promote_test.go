package promote

import (
	"net/netip"
	"strings"
	"testing"

	"ociproxy/test/clients"
	"ociproxy/test/hop"
	"ociproxy/test/proxy"
	"ociproxy/test/source"
)

// small is a source of two projects with every kind of image. It is promoted in seconds.
var small = source.Shape{Images: 11, Repos: 3, Seed: 40, Smallest: 2 << 10, Largest: 60 << 10}

// TestPromote tests a complete promotion: check, plan, apply, verify. Then it pulls images through the proxy from
// several places.
func TestPromote(t *testing.T) {
	t.Parallel()
	shape := small
	shape.Big = []int64{17 << 20} // two parts
	w := newScene(t).world(t, shape)
	all := w.entries(nil)
	o := w.observe(t)
	if r := w.promote(t, "check", w.dir); r.Code != 0 {
		t.Fatalf("check: %v", r)
	}
	file, planned := w.plan(t)
	if planned.Code != 0 || !strings.Contains(planned.Stdout, "To do: ") {
		t.Fatalf("plan: %v", planned)
	}
	t.Logf("plan:\n%s", planned.Stdout)
	if r := w.promote(t, append([]string{"run", w.dir}, w.runFlags()...)...); r.Code != 0 {
		t.Errorf("run without --confirm: %v", r)
	}
	if o.look(t); len(o.seen) != 0 {
		t.Fatalf("tags are visible before anything was applied: %v", o.seen)
	}
	w.front.Take()
	applied, r := w.apply(t, file)
	if r.Code != 0 || applied.Result != "done" {
		t.Fatalf("apply: %v", r)
	}
	o.look(t)
	w.whole(t, all)
	w.verified(t)
	w.readOnce(t)
	t.Logf("apply: %v, peak %d MiB; %+v", r.Took, r.Peak>>20, applied.Registries)

	// Everything is promoted. The same plan does nothing, and neither does a new one, which asks once for each
	// repository and each tag.
	for _, g := range w.gates {
		g.Take()
	}
	again, r := w.run(t)
	if r.Code != 0 || again.Result != "nothing to do" || again.BytesRead != 0 {
		t.Errorf("second run: %v", r)
	}
	for _, g := range w.gates {
		for _, e := range g.Take() {
			if e.Method != "GET" && e.Method != "HEAD" {
				t.Errorf("second run: %s %s", e.Method, e.Path)
			}
		}
	}
	for _, g := range w.gates {
		g.Take()
	}
	if again, r := w.apply(t, file); r.Code != 0 || again.BytesRead != 0 || again.InPlace == 0 {
		t.Errorf("the same plan again: %v", r)
	}
	for _, g := range w.gates {
		for _, e := range g.Take() {
			if _, ref, ok := strings.Cut(e.Path, "/manifests/"); ok && e.Method == "PUT" && !strings.HasPrefix(ref, "sha256:") {
				t.Errorf("the same plan again: %s %s", e.Method, e.Path)
			}
		}
	}
	w.pulls(t, all)
}

// readOnce fails the test if a blob was read from staging more than once.
func (w *world) readOnce(t *testing.T) {
	t.Helper()
	sent := map[string]int64{}
	for _, e := range w.front.Take() {
		if _, digest, ok := strings.Cut(e.Path, "/blobs/"); ok && e.Method == "GET" && e.Status < 300 {
			sent[digest] += e.Sent
		}
	}
	for digest, n := range sent {
		if n != w.source.Blobs[digest] {
			t.Errorf("%d bytes of %s were read from staging, it has %d", n, digest, w.source.Blobs[digest])
		}
	}
}

// places are where the proxy's clients are.
var places = map[string]netip.Prefix{"aws/us-east-1": netip.MustParsePrefix("198.18.0.0/18"),
	"aws/eu-central-1": netip.MustParsePrefix("198.18.64.0/18"), "gcp/europe-west1": netip.MustParsePrefix("198.18.128.0/18")}

// proxies starts the proxy over production, and a hop in front of it for each place.
func (w *world) proxies(t *testing.T) map[string]*hop.Hop {
	t.Helper()
	overrides := proxy.List{}
	for place, net := range places {
		overrides = append(overrides, proxy.Map{"cidr": net.String(), "place": place})
	}
	p := proxy.Start(t, w.config.With(proxy.Map{"ranges": proxy.Map{"overrides": overrides}}))
	out := map[string]*hop.Hop{}
	for place, net := range places {
		out[place] = hop.Start(t, p.Addr, net.Addr().Next())
	}
	return out
}

// pulls pulls images with crane through the proxy from each place, by tag. Clients in AWS must get every layer from a
// store.
func (w *world) pulls(t *testing.T, all []entry) {
	t.Helper()
	for place, h := range w.proxies(t) {
		for n, e := range all[:2] {
			// If a client asks twice for a blob, the proxy assumes that its download failed. So each pull uses another
			// network.
			network := places[place].Addr().As4()
			network[2] += byte(n)
			h.SetClient(netip.AddrFrom4(network).Next())
			ref := h.Addr + "/" + e.image + ":" + e.tags[0]
			h.Take()
			clients.CranePull(t, ref, "linux/amd64")
			stores, elsewhere := 0, []string{}
			for _, x := range h.Take() {
				switch {
				case !strings.Contains(x.Path, "/blobs/") || x.Method != "GET":
				case strings.Contains(x.Location, "/containers/images/"):
					stores++
				default:
					elsewhere = append(elsewhere, x.Path+" → "+x.Location)
				}
			}
			if aws := strings.HasPrefix(place, "aws/"); stores+len(elsewhere) == 0 || aws && len(elsewhere) > 0 {
				t.Errorf("%s: %d blobs of %s came from stores, and others from elsewhere: %v", place, stores, ref, elsewhere)
			}
		}
	}
}
