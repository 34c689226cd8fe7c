package mirror

import (
	"bytes"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

func blobKey(digest string) string { return "containers/images/" + digest }

// rot changes one byte of an object on the server's disk, whose own checksums do not learn of it.
func (s *shop) rot(t *testing.T, digest string) {
	t.Helper()
	f, err := os.OpenFile(s.server.File(s.s3bucket, blobKey(digest)), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	one := []byte{0}
	if _, err := f.ReadAt(one, 10); err != nil {
		t.Fatal(err)
	}
	one[0] ^= 1
	if _, err := f.WriteAt(one, 10); err != nil {
		t.Fatal(err)
	}
}

// put writes an object past everything.
func (s *shop) put(t *testing.T, key string, content []byte) {
	t.Helper()
	_, err := s.server.Client().PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &s.s3bucket, Key: &key, Body: bytes.NewReader(content)})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *shop) remove(t *testing.T, key string) {
	t.Helper()
	if _, err := s.server.Client().DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: &s.s3bucket, Key: &key}); err != nil {
		t.Fatal(err)
	}
}

// hide takes one object from the public, or gives all back.
func (s *shop) hide(t *testing.T, key string) {
	t.Helper()
	arn := "arn:aws:s3:::" + s.s3bucket + "/"
	statements := `{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"` + arn + `*"}`
	if key != "" {
		statements += `,{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"` + arn + key + `"}`
	}
	_, err := s.server.Client().PutBucketPolicy(t.Context(), &awss3.PutBucketPolicyInput{Bucket: &s.s3bucket,
		Policy: aws.String(`{"Version":"2012-10-17","Statement":[` + statements + `]}`)})
	if err != nil {
		t.Fatal(err)
	}
}

// found are the classes by store and digest or key.
func (r report) found() map[string]string {
	out := map[string]string{}
	for _, f := range r.Findings {
		out[f.Store+" "+f.Digest+f.Key] = f.Class
	}
	return out
}

// TestAudit harms stores in every way; the audit says so by class, its repair mends what it may, and leaves the rest alone.
func TestAudit(t *testing.T) {
	s := newScene(t, shape{images: 24, repos: 3, seed: 8, smallest: 4 << 10, largest: 90 << 10, big: []int64{17 << 20}})
	w := s.world(t, nil)
	if r := w.mirror(t); r.code != 0 {
		t.Fatalf("mirror: %v", r)
	}
	if _, r := w.audit(t, "--deep"); r.code != 0 {
		t.Fatalf("audit of what was just mirrored: %v", r)
	}
	bad, good := w.shops[0], w.shops[1]
	digests := slices.Sorted(maps.Keys(s.source.blobs))
	digests = slices.DeleteFunc(digests, func(d string) bool { return s.source.blobs[d] < 1000 })
	var big string
	for d, size := range s.source.blobs {
		if size > 16<<20 {
			big = d
		}
	}
	rotten, short, lost, private := digests[0], digests[1], digests[2], digests[3]
	bad.rot(t, rotten)
	bad.rot(t, big)
	bad.remove(t, blobKey(short))
	bad.put(t, blobKey(short), []byte("cut"))
	bad.remove(t, blobKey(lost))
	bad.hide(t, blobKey(private))
	stray := newBlob(99, 5000, "sha256")
	content, _ := io.ReadAll(stray.open())
	bad.put(t, blobKey(stray.Digest), content)
	good.put(t, blobKey("notes.txt"), []byte("by hand"))

	want := map[string]string{
		bad.name + " " + rotten: "corrupt", bad.name + " " + big: "corrupt", bad.name + " " + short: "short", bad.name + " " + lost: "lost",
		bad.name + " " + private: "unreadable", bad.name + " " + stray.Digest: "unexpected", good.name + " " + blobKey("notes.txt"): "unexpected",
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
		{nil, nil, 0}, // inventories know nothing of it
		{[]string{"--from", "listing"}, only("short", "lost", "unexpected"), 16 + 8 + 4},
		{[]string{"--from", "head"}, only("short", "lost", "unreadable"), 16 + 8 + 64},
		{[]string{"--deep"}, want, 4 + 8 + 16 + 32 + 64},
		{[]string{"--deep", "--store", good.name}, map[string]string{good.name + " " + blobKey("notes.txt"): "unexpected"}, 4},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			found, r := w.audit(t, append(tt.args, "--limit", "0")...)
			if tt.want == nil {
				tt.want = map[string]string{}
			}
			if diff := cmp.Diff(tt.want, found.found()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if r.code != tt.code {
				t.Errorf("exit code %d, want %d", r.code, tt.code)
			}
		})
	}

	planned, _ := w.audit(t, "--deep", "--repair", "--dry-run")
	if planned.Repair == nil || planned.Repair.Planned.Blobs != 4 || planned.Repair.Written.Blobs != 0 {
		t.Errorf("dry run: %+v", planned.Repair)
	}
	mended, r := w.audit(t, "--deep", "--repair")
	if mended.Repair == nil || mended.Repair.Repaired.Blobs != 4 || mended.Repair.Written.Blobs != 4 || r.code != 64+4 {
		t.Errorf("repair: %+v, %v", mended.Repair, r)
	}
	after, _ := w.audit(t, "--deep")
	if diff := cmp.Diff(only("unreadable", "unexpected"), after.found()); diff != "" {
		t.Errorf("after the repair (-want +got)\n%s", diff)
	}
	bad.hide(t, "")
	bad.remove(t, blobKey(stray.Digest))
	good.remove(t, blobKey("notes.txt"))
	w.whole(t)
	text := ctl(t, testLimit, environment, "audit", "--config", w.file, "--from", "head", "--sample", "20%")
	if text.code != 0 || !strings.Contains(text.stdout, "Every blob of every image is in every store") {
		t.Errorf("audit as text: %v", text)
	}
}

// TestPurge: a takedown removes a blob from every inventory, then from every bucket, and the next pass does not bring it back.
func TestPurge(t *testing.T) {
	s := newScene(t, small)
	w := s.world(t, nil)
	if r := w.mirror(t); r.code != 0 {
		t.Fatalf("mirror: %v", r)
	}
	digest := slices.Sorted(maps.Keys(s.source.blobs))[1]
	purge := func(args ...string) ran {
		return ctl(t, testLimit, environment, append([]string{"purge", "--config", w.file, "--output", "json", digest}, args...)...)
	}
	if r := purge("--confirm"); r.code != 1 || !strings.Contains(r.stderr, "deny") {
		t.Errorf("purge of what the config does not deny: %v", r)
	}
	w.config = w.config.With(proxy.Map{"deny": proxy.Map{"digests": proxy.List{digest}}})
	w.config.Write(t, w.file)
	if r := purge(); r.code != 2 {
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
	dry := decode[document](t, r.stdout)
	if r.code != 0 || dry.WaitSeconds != 2 || !dry.Stores[0].Blobs[0].Object || dry.Stores[0].Blobs[0].Deleted {
		t.Errorf("dry run: %v", r)
	}
	// The second store cannot be reached: the first one is done, and the next run does the second.
	down := w.shops[1].gate
	down.spoil(nth(1, 1<<30, blobPath, fault{status: 403, after: -1}))
	r = purge("--confirm")
	if doc := decode[document](t, r.stdout); r.code != 1 || !doc.Stores[0].Blobs[0].Deleted || doc.Stores[1].Error == "" {
		t.Errorf("with a store that refuses: %v", r)
	}
	down.spoil(nil)
	r = purge("--confirm")
	if doc := decode[document](t, r.stdout); r.code != 0 || doc.Stores[0].Blobs[0].Object || !doc.Stores[1].Blobs[0].Deleted ||
		len(doc.URLs) != 2 || doc.URLs[0].URL != w.shops[0].url(digest) {
		t.Errorf("second run: %v", r)
	}
	if r := w.mirror(t); r.code != 0 {
		t.Errorf("mirror: %v", r)
	}
	for _, shop := range w.shops {
		if _, held := shop.inventory(t)[digest]; held {
			t.Errorf("%s lists it", shop.name)
		}
		if err := parts.HTTP(shop.url(digest), 404)(); err != nil {
			t.Error(err)
		}
	}
	if _, r := w.audit(t, "--deep"); r.code != 0 {
		t.Errorf("audit: %v", r)
	}
}
