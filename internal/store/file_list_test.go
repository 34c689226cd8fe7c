package store

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A directory with more names than a page is listed completely and in order.
func TestListerPages(t *testing.T) {
	b := &files{dir: t.TempDir()}
	var want []string
	for i := range 10 {
		for _, key := range []string{fmt.Sprintf("a%d", i), fmt.Sprintf("d/%d/x", i), fmt.Sprintf("d/%d/y", i)} {
			if _, err := b.Put(t.Context(), key, Bytes([]byte(key)), Header{}, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 10 {
		want = append(want, fmt.Sprintf("a%d", i))
	}
	for i := range 10 {
		want = append(want, fmt.Sprintf("d/%d/x", i), fmt.Sprintf("d/%d/y", i))
	}
	for page := 1; page < 12; page++ {
		var got []string
		l := &lister{ctx: t.Context(), dir: b.dir, page: page, yield: func(a Attrs) bool {
			got = append(got, a.Key)
			return true
		}}
		if err := l.walk(""); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", page, diff)
		}
	}
}
