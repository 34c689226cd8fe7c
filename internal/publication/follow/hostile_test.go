package follow

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publicationtest"
	"ociproxy/internal/publication/publish"
)

// copyOf returns a copy of what is published, as an image has it.
func (w *world) copyOf() string {
	w.t.Helper()
	dir := w.t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(w.Dir)); err != nil {
		w.t.Fatal(err)
	}
	return dir
}

// stolen makes a world in which the disk in dir has a config that the thief of the config key has published, and the
// owner has then revoked the key. The publication has nothing that the new key has signed.
func stolen(t *testing.T, dir string) (w *world) {
	t.Helper()
	w = newWorld(t)
	w.Put("good", "canary")
	i := w.must(dir, "")
	for range 4 { // more than there are copies
		w.Put("evil", "canary")
		rounds(2)
		w.Put("more evil", "canary")
		rounds(2)
	}
	if i.text() != "more evil" {
		t.Fatal(i.text())
	}
	i.stop()
	w.Keys(publicationtest.Signer('n'))
	return w
}

// TestARevokedKeyStartsNothing: what a revoked key has signed is not started on from the disk, once the instance can
// know that.
func TestARevokedKeyStartsNothing(t *testing.T) {
	t.Run("known from the image", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			w := stolen(t, dir)
			h := publication.Head{
				Meta: publication.Meta{Version: 1, Deployment: publicationtest.Deployment, Generation: 2, SignedAt: time.Now().UTC()},
				Ring: "canary", SHA256: publication.Hash([]byte("good")), Bytes: 4, PublishedAt: time.Now().UTC(),
			}
			w.signed(head, 'n', &h)
			image := w.copyOf()
			w.set(nil)
			if i := w.must(dir, image); i.text() != "good" || i.Generation() != 2 || i.Copies() {
				t.Errorf("%q, generation %d", i.text(), i.Generation())
			}
		})
	})
	t.Run("known from the bucket", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			w := stolen(t, dir)
			i, err := w.start(dir, "")
			if i != nil || err == nil || !strings.Contains(err.Error(), "unsigned") {
				t.Fatalf("it starts: %v", err)
			}
			w.Replace = true
			if _, err := w.Publish(t.Context(), w.State(), publicationtest.Signer('n'), publish.Change{Rings: []string{"canary"}, Content: []byte("good")}); err != nil {
				t.Fatal(err)
			}
			if i := w.must(dir, ""); i.text() != "good" {
				t.Error(i.text())
			}
		})
	})
	t.Run("known from the disk", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			w := newWorld(t)
			w.Put("evil", "canary")
			i := w.must(dir, "")
			w.Keys(publicationtest.Signer('n'))
			rounds(2)
			if i.text() != "evil" { // what runs goes on
				t.Error(i.text())
			}
			i.stop()
			w.set(nil)
			i, err := w.start(dir, "")
			if i != nil || err == nil {
				t.Errorf("it starts: %v", err)
			}
			f, err := New(w.options(dir, ""))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Start(t.Context()); err == nil || f.Copies() {
				t.Errorf("its copies count: %v", err)
			}
		})
	})
}

// TestTheOwnerTakesOverFromAThief: with the stolen key the highest generation is published. The owner revokes the key and
// publishes again; all instances follow.
func TestTheOwnerTakesOverFromAThief(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Put("good", "canary")
		i := w.must("", "")
		h := *w.State().Heads["canary"]
		h.SignedAt = time.Now().UTC().Add(publication.MaxSkew - time.Minute).Truncate(time.Second)
		h.Generation = uint64(h.SignedAt.Unix())
		w.signed(head, 'c', &h)
		rounds(2)
		if i.Generation() != h.Generation {
			t.Fatalf("%+v", i.State())
		}
		next := publicationtest.Signer('n')
		w.Keys(next)
		pass(publication.MaxSkew)
		if _, err := w.Publish(t.Context(), w.State(), next, publish.Change{Rings: []string{"canary"}, Content: []byte("back")}); err == nil {
			t.Error("a head of a stranger was replaced without --replace")
		}
		w.Replace = true
		if _, err := w.Publish(t.Context(), w.State(), next, publish.Change{Rings: []string{"canary"}, Content: []byte("back")}); err != nil {
			t.Fatal(err)
		}
		rounds(2)
		if s := i.State(); i.text() != "back" || !s.OK {
			t.Errorf("%q %+v", i.text(), s)
		}
	})
}

// TestDeletedDocumentsComeBack: somebody deletes documents. What is published again must have a higher generation than
// the instances have seen.
func TestDeletedDocumentsComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for range 3 {
			w.Put("one", "canary")
			w.Off("s3")
		}
		i := w.must("", "")
		pass(time.Minute)
		for _, name := range []string{head, "overrides.json"} {
			if err := os.Remove(w.file(name)); err != nil {
				t.Fatal(err)
			}
		}
		w.Off("s4") // the emergency switch works at once
		rounds(2)
		if o := i.Overrides(); len(o.Overrides) != 1 || o.Overrides[0].Candidate != "s4" {
			t.Errorf("%+v %v", o, i.State().Faults)
		}
		w.Replace = true
		w.Put("two", "canary")
		rounds(2)
		if s := i.State(); i.text() != "two" || !s.OK {
			t.Errorf("%q %+v", i.text(), s)
		}
	})
}

// TestAClockThatIsBehind: an instance whose clock is years behind starts on what its image has.
func TestAClockThatIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Now = func() time.Time { return time.Now().UTC().AddDate(20, 0, 0) }
		w.Keys(publicationtest.Config)
		w.Put("one", "canary")
		image := w.copyOf()
		w.set(nil)
		if i := w.must("", image); i.text() != "one" {
			t.Error(i.text())
		}
	})
}
