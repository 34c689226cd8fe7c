package storetest

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"ociproxy/internal/store"
)

func ranges(t *testing.T, b bucket) {
	data := random(3, 100_000)
	b.put(t, "k", Whole(data), "")
	size := int64(len(data))
	for _, r := range []struct{ off, n int64 }{
		{0, -1}, {0, size}, {0, 1}, {0, 0}, {1, 0}, {1, -1}, {size - 1, 1}, {size - 1, -1}, {1234, 50_000},
	} {
		body, a, err := b.Get(t.Context(), b.dir+"k", r.off, r.n)
		if err != nil {
			t.Errorf("get %d+%d: %v", r.off, r.n, err)
			continue
		}
		got, err := io.ReadAll(body)
		body.Close()
		end := r.off + r.n
		if r.n < 0 {
			end = size
		}
		if err != nil || !bytes.Equal(got, data[r.off:end]) {
			t.Errorf("get %d+%d: %d other bytes, %v", r.off, r.n, len(got), err)
		}
		if a.Size != size || a.Version == "" || a.Key != b.dir+"k" {
			t.Errorf("get %d+%d: attributes %+v", r.off, r.n, a)
		}
	}
	for _, r := range []struct{ off, n int64 }{{0, size + 1}, {size - 1, 2}, {size + 1, -1}, {size + 1, 1}, {-1, 5}} {
		body, _, err := b.Get(t.Context(), b.dir+"k", r.off, r.n)
		if err != nil {
			continue
		}
		got, err := io.ReadAll(body)
		body.Close()
		if err == nil {
			t.Errorf("get %d+%d of %d bytes: %d bytes and no error", r.off, r.n, size, len(got))
		}
	}
}

// versions tests that a reader that began before an object was replaced reads the old object to its end, or fails.
func versions(t *testing.T, b bucket) {
	one, two := random(4, 12<<20), random(5, 12<<20)
	a := b.put(t, "k", Whole(one), "")
	body, _, err := b.Get(t.Context(), b.dir+"k", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	head := make([]byte, 1000)
	if _, err := io.ReadFull(body, head); err != nil {
		t.Fatal(err)
	}
	b.put(t, "k", Whole(two), a.Version) // no store makes a writer wait for readers
	rest, err := io.ReadAll(body)
	if err == nil && !bytes.Equal(slices.Concat(head, rest), one) {
		t.Error("read a mix of two versions")
	}
	b.want(t, "k", two)
}

func list(t *testing.T, b bucket) {
	// In the order of bytes "/" comes after "-" and ".", before digits and letters.
	names := []string{"a", "b-", "b.c", "b/1", "b/2/x", "b/2/y", "b/20", "b0", "bb", "c/d/e/f", "c/d/e/g", "z"}
	for i, name := range names {
		b.put(t, name, Whole(make([]byte, i)), "")
	}
	for _, c := range []struct {
		prefix, after string
		want          []string
	}{
		{"", "", names},
		{"b", "", names[1:9]},
		{"b/", "", names[3:7]},
		{"b/2", "", names[4:7]},
		{"b/2/", "", names[4:6]},
		{"", "b/2/x", names[5:]},
		{"b", "b/2", names[4:9]},
		{"b/", "b/2/y", names[6:7]},
		{"", "b/1zz", names[4:]},
		{"c/", "a", names[9:11]},
		{"c/d/e/f", "", names[9:10]},
		{"b", "c", nil},
		{"nothing", "", nil},
	} {
		after := c.after
		if after != "" {
			after = b.dir + after
		}
		var got []string
		for a, err := range b.List(t.Context(), b.dir+c.prefix, after) {
			if err != nil {
				t.Fatal(err)
			}
			name := a.Key[len(b.dir):]
			got = append(got, name)
			if want := slices.Index(names, name); a.Size != int64(want) || a.Version == "" || a.Modified.IsZero() {
				t.Errorf("%s is listed as %+v", name, a)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("list of %q after %q (-want +got):\n%s", c.prefix, c.after, diff)
		}
	}
	// The version in a list is one that Put accepts.
	for a, err := range b.List(t.Context(), b.dir+"z", "") {
		if err != nil {
			t.Fatal(err)
		}
		b.put(t, "z", Whole([]byte("new")), a.Version)
	}
}

func listPages(t *testing.T, b bucket) {
	const n = 1103 // a page of S3 has at most 1000
	want := make([]string, n)
	var group errgroup.Group
	group.SetLimit(16)
	for i := range want {
		want[i] = fmt.Sprintf("%scontainers/images/sha256:%064x", b.dir, i*7919)
		group.Go(func() error {
			_, err := b.Put(t.Context(), want[i], store.Bytes([]byte("x")), header, "")
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	keys := func(prefix, after string, most int) (got []string) {
		for a, err := range b.List(t.Context(), prefix, after) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, a.Key); len(got) == most {
				break
			}
		}
		return got
	}
	if diff := cmp.Diff(want, keys(b.dir, "", -1)); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[51:], keys(b.dir+"containers/", want[50], -1)); diff != "" {
		t.Errorf("after the 50th (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[:3], keys(b.dir, "", 3)); diff != "" {
		t.Errorf("the first three (-want +got):\n%s", diff)
	}
}

func remove(t *testing.T, b bucket) {
	one := b.put(t, "k", Whole([]byte("one")), "")
	two := b.put(t, "k", Whole([]byte("two")), one.Version)
	b.wantErr(t, "delete an old version", b.Delete(t.Context(), b.dir+"k", one.Version), store.ErrConflict)
	b.want(t, "k", []byte("two"))
	if err := b.Delete(t.Context(), b.dir+"k", two.Version); err != nil {
		t.Fatal(err)
	}
	b.absent(t, "k")
	if err := b.Delete(t.Context(), b.dir+"k", two.Version); err != nil {
		t.Errorf("delete what is gone: %v", err)
	}
	b.put(t, "k", Whole([]byte("three")), "")
	if err := b.Delete(t.Context(), b.dir+"k", ""); err != nil {
		t.Fatal(err)
	}
	b.absent(t, "k")
}

func keys(t *testing.T, b bucket) {
	for _, key := range []string{
		"containers/images/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"containers/images/sha512:" + fmt.Sprintf("%0128x", 1),
		"a b", "a+b", "a%20b", "a&b=c", "ä/ö", "a..b", "x/.hidden",
	} {
		b.put(t, key, Whole([]byte(key)), "")
		b.want(t, key, []byte(key))
		n := 0
		for a, err := range b.List(t.Context(), b.dir+key, "") {
			if err != nil || a.Key != b.dir+key {
				t.Errorf("list of %q: %q, %v", key, a.Key, err)
			}
			n++
		}
		if n != 1 {
			t.Errorf("%q is listed %d times", key, n)
		}
	}
	for _, key := range []string{"", "/", "a/../b", "a//b", "../x", "./a"} {
		if _, err := b.Put(t.Context(), key, Whole(nil), header, ""); err == nil {
			t.Errorf("key %q was taken", key)
		}
	}
}
