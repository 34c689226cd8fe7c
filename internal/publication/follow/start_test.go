package follow

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/publication"
)

// TestStart: an instance starts on the newest that is valid of bucket, disk and fallback, and on a stale head only when
// there is nothing else.
func TestStart(t *testing.T) {
	for name, tt := range map[string]struct {
		bucket, disk, fallback string // their configurations; "" for none. Generations are by the alphabet
		old                    bool   // the bucket was not signed again
		want                   string
	}{
		"only the bucket":     {"a", "", "", false, "a"},
		"the bucket is newer": {"c", "a", "b", false, "c"},
		"the disk is newer":   {"a", "c", "b", false, "c"},
		"fallback is newer":   {"a", "b", "c", false, "c"},
		"only the disk":       {"", "b", "", false, "b"},
		"only the fallback":   {"", "", "b", false, "b"},
		"stale, but a disk":   {"c", "a", "", true, "a"},
		"stale, but an image": {"c", "", "a", true, "a"},
		"only stale":          {"c", "", "", true, "c"},
		"bad in the bucket":   {"d bad", "a", "b", false, "b"},
		"nothing":             {"", "", "", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				disk, image := t.TempDir(), ""
				at := map[string][]byte{}
				for _, text := range []string{"a", "b", "c", "d bad"} {
					w.Put(text, "canary")
					at[text] = w.read(head)
					if text == tt.disk {
						i := w.must(disk, "")
						i.stop()
					}
					if text == tt.fallback {
						image = t.TempDir()
						if err := os.CopyFS(image, os.DirFS(w.Dir)); err != nil {
							t.Fatal(err)
						}
					}
				}
				if tt.bucket == "" {
					w.set(nil)
				} else {
					w.write(head, at[tt.bucket])
				}
				if tt.old {
					pass(publication.DefaultMaxAge + time.Hour)
				}
				i, err := w.start(disk, image)
				got := ""
				if i != nil {
					got = i.text()
					i.stop()
				}
				if got != tt.want || got == "" && err == nil {
					t.Errorf("it started on %q, want %q: %v", got, tt.want, err)
				}
			})
		})
	}
}

// TestCheckURL: documents come over https, or from this machine.
func TestCheckURL(t *testing.T) {
	for url, want := range map[string]bool{
		"https://storage.example.org/bucket/config/": true, "http://127.0.0.1:8080/": true, "http://localhost/x/": true,
		"http://storage.example.org/": false, "https://storage.example.org/config": false, "https://u:p@h/": false,
		"https://h/?sig=x": false, "ftp://h/": false, "https:///": false, "/etc/config.yaml": false, "": false,
	} {
		if got := CheckURL(url); (got == nil) != want {
			t.Errorf("%s: %v", url, got)
		}
	}
}
