package mirror

import (
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/test/ctl"
	"ociproxy/test/gate"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
	"ociproxy/test/shop"
	"ociproxy/test/source"
)

// found returns the class of each finding, by store and digest or key.
func (r report) found() map[string]string {
	out := map[string]string{}
	for _, f := range r.Findings {
		out[f.Store+" "+f.Digest+f.Key] = f.Class
	}
	return out
}

// TestAudit damages stores in every way. The audit names each damage by class. Its repair fixes what it may, and leaves
// the rest alone.
func TestAudit(t *testing.T) {
	t.Parallel()
	s := newScene(t, source.Shape{Images: 24, Repos: 3, Seed: 8, Smallest: 4 << 10, Largest: 90 << 10, Big: []int64{17 << 20}})
	w := s.world(t, nil)
	if r := w.mirror(t); r.Code != 0 {
		t.Fatalf("mirror: %v", r)
	}
	if _, r := w.audit(t, "--deep"); r.Code != 0 {
		t.Fatalf("audit of what was just mirrored: %v", r)
	}
	bad, good := w.shops[0], w.shops[1]
	digests := slices.Sorted(maps.Keys(s.source.Blobs))
	digests = slices.DeleteFunc(digests, func(d string) bool { return s.source.Blobs[d] < 1000 })
	var big string
	for d, size := range s.source.Blobs {
		if size > 16<<20 {
			big = d
		}
	}
	rotten, short, lost, private := digests[0], digests[1], digests[2], digests[3]
	bad.Rot(t, rotten)
	bad.Rot(t, big)
	bad.Remove(t, shop.Key(short))
	bad.Put(t, shop.Key(short), []byte("cut"))
	bad.Remove(t, shop.Key(lost))
	bad.Hide(t, shop.Key(private))
	stray := source.NewBlob(99, 5000, "sha256")
	content, _ := io.ReadAll(stray.Open())
	bad.Put(t, shop.Key(stray.Digest), content)
	good.Put(t, shop.Key("notes.txt"), []byte("by hand"))

	want := map[string]string{
		bad.Name + " " + rotten: "corrupt", bad.Name + " " + big: "corrupt", bad.Name + " " + short: "short", bad.Name + " " + lost: "lost",
		bad.Name + " " + private: "unreadable", bad.Name + " " + stray.Digest: "unexpected", good.Name + " " + shop.Key("notes.txt"): "unexpected",
	}
	only := func(classes ...string) map[string]string {
		out := maps.Clone(want)
		maps.DeleteFunc(out, func(_, class string) bool { return !slices.Contains(classes, class) })
		return out
	}
	for _, tt := range []struct {
		args []string
		want map[string]string
		code int
	}{
		{[]string{"--from", "inventory"}, nil, 0}, // inventories do not show the damage
		{[]string{"--from", "listing"}, only("short", "lost", "unexpected"), 16 + 8 + 4},
		{[]string{"--from", "head"}, only("short", "lost", "unreadable"), 16 + 8 + 64},
		{[]string{"--deep"}, want, 4 + 8 + 16 + 32 + 64},
		{[]string{"--deep", "--store", good.Name}, map[string]string{good.Name + " " + shop.Key("notes.txt"): "unexpected"}, 4},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			found, r := w.audit(t, append(tt.args, "--limit", "0")...)
			if tt.want == nil {
				tt.want = map[string]string{}
			}
			if diff := cmp.Diff(tt.want, found.found()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if r.Code != tt.code {
				t.Errorf("exit code %d, want %d", r.Code, tt.code)
			}
		})
	}

	planned, _ := w.audit(t, "--deep", "--repair", "--dry-run")
	if planned.Repair == nil || planned.Repair.Planned.Blobs != 5 || planned.Repair.Written.Blobs != 0 {
		t.Errorf("dry run: %+v", planned.Repair)
	}
	mended, r := w.audit(t, "--deep", "--repair")
	if mended.Repair == nil || mended.Repair.Repaired.Blobs != 4 || mended.Repair.Written.Blobs != 5 || r.Code != 64+4+1 {
		t.Errorf("repair: %+v, %v", mended.Repair, r)
	}
	after, _ := w.audit(t, "--deep")
	if diff := cmp.Diff(only("unreadable", "unexpected"), after.found()); diff != "" {
		t.Errorf("after the repair (-want +got)\n%s", diff)
	}
	bad.Hide(t, "")
	bad.Remove(t, shop.Key(stray.Digest))
	good.Remove(t, shop.Key("notes.txt"))
	if _, r := w.audit(t, "--deep", "--repair"); r.Code != 0 { // unlisted until the public can read it
		t.Errorf("repair of what is public again: %v", r)
	}
	w.whole(t)
	text := ctl.Run(t, ctl.Limit, shop.Environment, "audit", "--config", w.file, "--from", "head", "--sample", "20%")
	if text.Code != 0 || !strings.Contains(text.Stdout, "Every blob of every image is in every store") {
		t.Errorf("audit as text: %v", text)
	}
}

// TestPurge: a takedown removes a blob from every inventory, then from every bucket. The next pass does not bring it
// back.
func TestPurge(t *testing.T) {
	t.Parallel()
	s := newScene(t, small)
	w := s.world(t, nil)
	if r := w.mirror(t); r.Code != 0 {
		t.Fatalf("mirror: %v", r)
	}
	digest := slices.Sorted(maps.Keys(s.source.Blobs))[1]
	purge := func(args ...string) ctl.Ran {
		return ctl.Run(t, ctl.Limit, shop.Environment, append([]string{"purge", "--config", w.file, "--output", "json", digest}, args...)...)
	}
	if r := purge("--confirm"); r.Code != 1 || !strings.Contains(r.Stderr, "deny") {
		t.Errorf("purge of what the config does not deny: %v", r)
	}
	w.config = w.config.With(proxy.Map{"deny": proxy.Map{"digests": proxy.List{digest}}})
	w.config.Write(t, w.file)
	if r := purge(); r.Code != 2 {
		t.Errorf("purge without --confirm: %v", r)
	}
	type document struct {
		WaitSeconds float64
		Stores      []struct {
			Store string
			Blobs []struct{ Listed, Object, Unlisted, Deleted bool }
			Error string
		}
		URLs []struct{ URL string }
	}
	r := purge("--dry-run")
	dry := ctl.Decode[document](t, r.Stdout)
	if r.Code != 0 || dry.WaitSeconds != 2 || !dry.Stores[0].Blobs[0].Object || dry.Stores[0].Blobs[0].Deleted {
		t.Errorf("dry run: %v", r)
	}
	// The second store cannot be reached: this run does the first store, the next run does the second.
	down := w.shops[1].Gate
	down.Spoil(gate.Nth(1, 1<<30, blobPath, gate.Fault{Status: 403, After: -1}))
	r = purge("--confirm")
	if doc := ctl.Decode[document](t, r.Stdout); r.Code != 5 || !doc.Stores[0].Blobs[0].Deleted || doc.Stores[1].Error == "" {
		t.Errorf("with a store that refuses: %v", r)
	}
	down.Spoil(nil)
	r = purge("--confirm")
	if doc := ctl.Decode[document](t, r.Stdout); r.Code != 0 || doc.Stores[0].Blobs[0].Object || !doc.Stores[1].Blobs[0].Deleted ||
		len(doc.URLs) != 2 || doc.URLs[0].URL != w.shops[0].URL(digest) {
		t.Errorf("second run: %v", r)
	}
	if r := w.mirror(t); r.Code != 0 {
		t.Errorf("mirror: %v", r)
	}
	for _, shop := range w.shops {
		if _, held := shop.Inventory(t)[digest]; held {
			t.Errorf("%s lists it", shop.Name)
		}
		if err := parts.HTTP(shop.URL(digest), 404)(); err != nil {
			t.Error(err)
		}
	}
	if _, r := w.audit(t, "--deep"); r.Code != 0 {
		t.Errorf("audit: %v", r)
	}
}
