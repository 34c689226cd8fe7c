package lastgood

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// texts returns the contents of the copies, the newest first.
func texts(t *testing.T, d Dir) []string {
	t.Helper()
	copies, err := d.Copies()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, c := range copies {
		all = append(all, string(c.Text))
		if c.Saved.IsZero() {
			t.Errorf("%s has no time", c.File)
		}
	}
	return all
}

func keep(t *testing.T, d Dir, all ...string) {
	t.Helper()
	for _, text := range all {
		if err := d.Keep([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKeep: the newest copy is first, each content is there once, and the oldest copies go.
func TestKeep(t *testing.T) {
	for _, tt := range []struct{ keep, want []string }{
		{nil, nil},
		{[]string{"a"}, []string{"a"}},
		{[]string{"a", "a", "a"}, []string{"a"}},
		{[]string{"a", "b"}, []string{"b", "a"}},
		{[]string{"a", "b", "a"}, []string{"a", "b"}},
		{[]string{"a", "b", "c", "d", "e"}, []string{"e", "d", "c"}},
		{[]string{"a", "b", "c", "a", "d"}, []string{"d", "a", "c"}},
		{[]string{""}, []string{""}},
	} {
		d := Dir(filepath.Join(t.TempDir(), "not", "there"))
		keep(t, d, tt.keep...)
		if diff := cmp.Diff(tt.want, texts(t, d)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.keep, diff)
		}
	}
}

// TestCopiesAreExactAndPrivate: a copy has the bytes of the original and nothing else, and only its owner can read it.
func TestCopiesAreExactAndPrivate(t *testing.T) {
	d := Dir(filepath.Join(t.TempDir(), "copies"))
	text := "\ufeffversion: 1 # \r\n\tü\x00"
	keep(t, d, text)
	copies, err := d.Copies()
	if err != nil || len(copies) != 1 {
		t.Fatal(copies, err)
	}
	data, err := os.ReadFile(copies[0].File)
	if err != nil || string(data) != text {
		t.Errorf("%q, %v", data, err)
	}
	for path, want := range map[string]os.FileMode{copies[0].File: 0o600, string(d): 0o700 | os.ModeDir} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	entries, err := os.ReadDir(string(d))
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}

// TestDamage: a copy that was cut, changed or emptied is not used. The error names it, and the older copy is used.
func TestDamage(t *testing.T) {
	for what, damage := range map[string]func(string) error{
		"cut":        func(file string) error { return os.Truncate(file, 3) },
		"empty":      func(file string) error { return os.Truncate(file, 0) },
		"changed":    func(file string) error { return os.WriteFile(file, []byte("newer text"), 0o600) },
		"unreadable": func(file string) error { return errors.Join(os.Remove(file), os.Symlink("gone", file)) },
		"directory":  func(file string) error { return errors.Join(os.Remove(file), os.Mkdir(file, 0o700)) },
	} {
		t.Run(what, func(t *testing.T) {
			d := Dir(t.TempDir())
			keep(t, d, "old text", "newest text")
			copies, err := d.Copies()
			if err != nil {
				t.Fatal(err)
			}
			if err := damage(copies[0].File); err != nil {
				t.Fatal(err)
			}
			left, err := d.Copies()
			if regular := what != "unreadable" && what != "directory"; regular != errors.Is(err, ErrDamaged) ||
				regular && !strings.Contains(err.Error(), copies[0].File) {
				t.Errorf("error: %v", err)
			}
			if len(left) != 1 || string(left[0].Text) != "old text" {
				t.Errorf("left: %v", left)
			}
			// The next good copy takes its place.
			if what != "directory" {
				keep(t, d, "newest text")
				if diff := cmp.Diff("newest text", texts2(d)[0]); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func texts2(d Dir) []string {
	copies, _ := d.Copies() // the damaged one may still be there
	var all []string
	for _, c := range copies {
		all = append(all, string(c.Text))
	}
	return all
}

// TestOtherFilesStay: files that are not copies are neither read nor removed.
func TestOtherFilesStay(t *testing.T) {
	d := Dir(t.TempDir())
	var others []string
	for _, name := range []string{"config.yaml", "config-1-ab.yaml", "config-000009.yaml", "notes"} {
		others = append(others, filepath.Join(string(d), name))
		if err := os.WriteFile(others[len(others)-1], []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		keep(t, d, fmt.Sprint(i))
	}
	if diff := cmp.Diff([]string{"9", "8", "7"}, texts(t, d)); diff != "" {
		t.Error(diff)
	}
	for _, file := range others {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
}

// TestKeepFails: when Keep cannot write, the error names the place, and the earlier copies stay.
func TestKeepFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d := Dir(filepath.Join(file, "below"))
	if err := d.Keep([]byte("a")); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("error: %v", err)
	}
	if copies, err := d.Copies(); len(copies) != 0 || err == nil {
		t.Errorf("%v, %v", copies, err)
	}
}
