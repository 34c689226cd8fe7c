package follow

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publicationtest"
)

const head = "rings/canary/head.json"

// TestEveryFault: whatever is wrong with the publication, the configuration in use stays, the fault has its word, it is
// logged once, and the next good publication is taken.
func TestEveryFault(t *testing.T) {
	changed := func(change func(h *publication.Head)) func(*world) {
		return func(w *world) {
			h := *w.State().Heads["canary"]
			h.Generation++
			h.SignedAt = time.Now().UTC()
			change(&h)
			w.signed(head, 'c', &h)
		}
	}
	for name, tt := range map[string]struct {
		do       func(w *world)
		document string
		want     publication.Fault
	}{
		"gone":      {func(w *world) { _ = os.Remove(w.file(head)) }, wordHead, publication.Missing},
		"refused":   {func(w *world) { w.set(nil) }, wordHead, publication.Missing},
		"denied":    {func(w *world) { w.set(status(403)) }, wordHead, publication.Missing},
		"keys gone": {func(w *world) { _ = os.Remove(w.file("keys.json")) }, wordKeys, publication.Missing},
		"HTML":      {func(w *world) { w.set(page("<!doctype html><p>please log in")) }, wordHead, publication.Bad},
		"huge":      {func(w *world) { w.set(page(strings.Repeat(" ", publication.MaxDocument+1))) }, wordHead, publication.Bad},
		"empty":     {func(w *world) { w.write(head, nil) }, wordHead, publication.Bad},
		"tampered": {func(w *world) {
			w.tamper()
		}, wordHead, publication.Unsigned},
		"wrong key":    {func(w *world) { w.signed(head, 'x', w.State().Heads["canary"]) }, wordHead, publication.Unsigned},
		"override key": {func(w *world) { w.signed(head, 'o', w.State().Heads["canary"]) }, wordHead, publication.Unsigned},
		"other name":   {changed(func(h *publication.Head) { h.Deployment = "sandbox" }), wordHead, publication.Foreign},
		"other ring":   {changed(func(h *publication.Head) { h.Ring = "all" }), wordHead, publication.Foreign},
		"old":          {func(w *world) { w.replay() }, wordHead, publication.Replayed},
		"same number":  {changed(func(h *publication.Head) { h.Generation--; h.SHA256 = strings.Repeat("a", 64) }), wordHead, publication.Replayed},
		"not renewed":  {changed(func(h *publication.Head) { h.SignedAt = h.SignedAt.Add(-publication.DefaultMaxAge - time.Hour) }), wordHead, publication.Stale},
		"the future":   {changed(func(h *publication.Head) { h.SignedAt = time.Now().Add(24 * time.Hour).UTC() }), wordHead, publication.Clock},
		"too large":    {changed(func(h *publication.Head) { h.Bytes, h.SHA256 = 2<<20, strings.Repeat("a", 64) }), wordHead, publication.Bad},
		"no content":   {changed(func(h *publication.Head) { h.SHA256 = strings.Repeat("a", 64) }), wordContent, publication.Missing},
		"other content": {func(w *world) {
			w.Put("three", "canary")
			w.write(publication.ContentName(publication.Hash([]byte("three"))), []byte("Three"))
		}, wordContent, publication.Bad},
		"config faults": {func(w *world) { w.Put("a bad one", "canary") }, wordContent, publication.Refused},
		"overrides":     {func(w *world) { w.write("overrides.json", []byte("{}")) }, wordOverrides, publication.Bad},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.Put("one", "canary")
				w.Put("two", "canary")
				i := w.must("", "")
				rounds(1)
				if s := i.State(); !s.OK || s.Generation != 2 || i.text() != "two" {
					t.Fatalf("%+v", s)
				}
				good := map[string][]byte{head: w.read(head), "keys.json": w.read("keys.json")}
				tt.do(w)
				rounds(5)
				s := i.State()
				if got := i.fault(tt.document); got != tt.want || s.OK || i.text() != "two" || s.Generation != 2 {
					t.Errorf("fault %q of %s, want %q: %+v", got, tt.document, tt.want, s.Faults)
				}
				if n := s.Refused[Refusal{tt.document, tt.want}]; n < 3 {
					t.Errorf("counted %d times", n)
				}
				if n := strings.Count(i.log.String(), "document="+tt.document+" fault="+string(tt.want)); n != 1 && tt.want != publication.Refused {
					t.Errorf("logged %d times:\n%s", n, i.log)
				}
				w.set(w.next)
				for name, text := range good {
					w.write(name, text)
				}
				_ = os.Remove(w.file("overrides.json"))
				if err := w.Refresh(t.Context(), w.State(), publicationtest.Root, publicationtest.Config, nil); err != nil {
					t.Fatal(err)
				}
				w.Put("four", "canary", "all")
				rounds(3)
				if s := i.State(); i.text() != "four" || !s.OK {
					t.Errorf("afterwards %q: %+v", i.text(), s)
				}
			})
		})
	}
}

func status(code int) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(code) })
}

func page(text string) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte(text)) })
}

// hole accepts requests and never answers.
var hole = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })

// tamper changes a letter of the head.
func (w *world) tamper() {
	w.t.Helper()
	text := w.read(head)
	at := bytes.Index(text, []byte("payload\"")) + 200
	text[at] = map[bool]byte{true: 'A', false: 'B'}[text[at] != 'A']
	w.write(head, text)
}

// replay publishes the head before the last one again.
func (w *world) replay() {
	w.t.Helper()
	h := *w.State().Heads["canary"]
	e := h.Previous[0]
	h.Generation, h.SHA256, h.Bytes, h.Previous = e.Generation, e.SHA256, e.Bytes, nil
	w.signed(head, 'c', &h)
}

// TestTheBucketIsAwayForAnHour: the instance serves on, twenty new ones start on their fallback, and all take the next
// publication as soon as the bucket is back.
func TestTheBucketIsAwayForAnHour(t *testing.T) {
	for name, away := range map[string]http.Handler{"refused": nil, "black hole": hole, "503": status(503), "403": status(403), "HTML": page("<html>")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.Put("one", "canary")
				image := t.TempDir() // what config export wrote
				if err := os.CopyFS(image, os.DirFS(w.Dir)); err != nil {
					t.Fatal(err)
				}
				w.Put("two", "canary")
				running := w.must("", "")
				w.set(away)
				all := []*instance{running}
				for range 20 {
					pass(3 * time.Minute)
					began := time.Now()
					i := w.must("", image)
					if took := time.Since(began); took > Patience+time.Second { // virtual
						t.Errorf("a start took %s", took)
					}
					if i.text() != "one" {
						t.Errorf("it started on %q", i.text())
					}
					all = append(all, i)
				}
				if running.text() != "two" || running.State().OK {
					t.Errorf("%q %+v", running.text(), running.State())
				}
				w.set(w.next)
				w.Put("three", "canary")
				rounds(3)
				for n, i := range all {
					if i.text() != "three" || !i.State().OK {
						t.Errorf("instance %d: %q %v", n, i.text(), i.State().Faults)
					}
				}
			})
		})
	}
}

// TestKeysChangeWithoutARestart: a new key signs as soon as the set of keys has it, a revoked one signs nothing new, and
// what it signed before stays in use.
func TestKeysChangeWithoutARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Put("one", "canary")
		i := w.must("", "")
		next := publicationtest.Signer('n')
		w.Keys(publicationtest.Config, next) // both, for a while
		for n, signer := range []byte{'n', 'c'} {
			h := *w.State().Heads["canary"]
			h.Generation++
			w.signed(head, signer, &h)
			rounds(2)
			if s := i.State(); !s.OK || s.Generation != uint64(n+2) {
				t.Fatalf("signed by %c: %+v", signer, s)
			}
		}
		w.Keys(next)
		rounds(2)
		if i.fault(wordHead) != publication.Unsigned || i.text() != "one" || i.Generation() != 3 {
			t.Errorf("%+v", i.State())
		}
		if err := w.Refresh(t.Context(), w.State(), nil, nil, nil); err != nil {
			t.Fatal(err)
		}
		h := publication.Head{
			Meta: publication.Meta{Version: 1, Deployment: publicationtest.Deployment, Generation: 4, SignedAt: time.Now().UTC()},
			Ring: "canary", SHA256: publication.Hash([]byte("one")), Bytes: 3, PublishedAt: time.Now().UTC(),
		}
		w.signed(head, 'n', &h)
		rounds(2)
		if s := i.State(); !s.OK || s.Generation != 4 {
			t.Errorf("%+v", s)
		}
	})
}

// TestARestartRemembers: without the bucket an instance starts on what the disk has, with its overrides, and a replayed
// head is still refused.
func TestARestartRemembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, dir := newWorld(t), t.TempDir()
		w.Put("one", "canary")
		w.Off("s3")
		i := w.must(dir, "")
		w.Put("two", "canary")
		rounds(2)
		i.stop()
		pass(30 * 24 * time.Hour) // the age of the copy does not matter
		w.set(nil)
		i = w.must(dir, "")
		if i.text() != "two" || i.Generation() != 2 || len(i.Overrides().Overrides) != 1 {
			t.Errorf("%q %+v", i.text(), i.State())
		}
		i.stop()
		w.set(w.next)
		w.replay()
		i = w.must(dir, "")
		rounds(2)
		if i.text() != "two" || i.fault(wordHead) != publication.Replayed {
			t.Errorf("%q %+v", i.text(), i.State().Faults)
		}
	})
}

// TestDiskGone: a disk that cannot be written shows, and nothing else happens. It is tried again.
func TestDiskGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Put("one", "canary")
		block := filepath.Join(t.TempDir(), "disk")
		if err := os.WriteFile(block, nil, 0o600); err != nil { // a file where the directory should be
			t.Fatal(err)
		}
		i := w.must(block, "")
		w.Put("two", "canary")
		rounds(4)
		if s := i.State(); s.Copy == nil || !s.OK || i.text() != "two" {
			t.Errorf("%+v", s)
		}
		if err := os.Remove(block); err != nil {
			t.Fatal(err)
		}
		rounds(2)
		if s := i.State(); s.Copy != nil {
			t.Errorf("%+v", s)
		}
		i.stop()
		if n := strings.Count(i.log.String(), "is not on the disk"); n != 1 {
			t.Errorf("logged %d times:\n%s", n, i.log)
		}
		w.set(nil)
		if i = w.must(block, ""); i.text() != "two" {
			t.Error(i.text())
		}
	})
}
