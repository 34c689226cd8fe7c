package inventorytest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/inventory/write"
)

// Conform checks that buckets keep the contract of [write.Bucket]. open returns an empty one.
func Conform(t *testing.T, open func(t *testing.T) write.Bucket) {
	t.Run("get of nothing", func(t *testing.T) {
		if _, _, err := open(t).Get(t.Context(), "head.json"); !errors.Is(err, write.ErrNotFound) {
			t.Errorf("error %v, want ErrNotFound", err)
		}
	})
	t.Run("put if absent", func(t *testing.T) {
		s := suite{t, open(t)}
		s.put("seg/a", "one", "", nil)
		s.put("seg/a", "two", "", write.ErrExists)
		if got, _ := s.get("seg/a"); got != "one" {
			t.Errorf("the object became %q", got)
		}
	})
	t.Run("compare and swap", func(t *testing.T) {
		s := suite{t, open(t)}
		s.put("head.json", "one", "", nil)
		_, first := s.get("head.json")
		s.put("head.json", "two", first, nil)
		s.put("head.json", "three", first, write.ErrConflict)
		body, second := s.get("head.json")
		if body != "two" || second == first || second == "" {
			t.Errorf("the object became %q, version %q after %q", body, second, first)
		}
	})
	t.Run("swap of what was deleted", func(t *testing.T) {
		s := suite{t, open(t)}
		s.put("head.json", "one", "", nil)
		_, version := s.get("head.json")
		s.delete("head.json")
		s.put("head.json", "two", version, write.ErrConflict)
		s.put("head.json", "three", "", nil)
		s.put("head.json", "four", version, write.ErrConflict)
	})
	t.Run("same bytes, another version", func(t *testing.T) {
		s := suite{t, open(t)}
		s.put("head.json", "one", "", nil)
		_, first := s.get("head.json")
		s.put("head.json", "two", first, nil)
		_, second := s.get("head.json")
		s.put("head.json", "one", second, nil)
		s.put("head.json", "late", second, write.ErrConflict)
	})
	t.Run("delete twice", func(t *testing.T) {
		s := suite{t, open(t)}
		s.put("seg/a", "one", "", nil)
		s.delete("seg/a")
		s.delete("seg/a")
		if _, _, err := s.b.Get(t.Context(), "seg/a"); !errors.Is(err, write.ErrNotFound) {
			t.Errorf("error %v, want ErrNotFound", err)
		}
	})
	t.Run("list", func(t *testing.T) {
		s := suite{t, open(t)}
		for _, key := range []string{"head.json", "seg/a", "seg/b", "retired/a"} {
			s.put(key, "body of "+key, "", nil)
		}
		if d := cmp.Diff([]string{"seg/a 13", "seg/b 13"}, s.list("seg/")); d != "" {
			t.Errorf("seg/ (-want +got)\n%s", d)
		}
		if d := cmp.Diff([]string{"seg/a 13"}, s.list("seg/a")); d != "" {
			t.Errorf("seg/a (-want +got)\n%s", d)
		}
		if d := cmp.Diff([]string(nil), s.list("none/")); d != "" {
			t.Errorf("none/ (-want +got)\n%s", d)
		}
	})
	t.Run("more than a page", func(t *testing.T) {
		s := suite{t, open(t)}
		var want []string
		for i := range 1100 {
			key := fmt.Sprintf("seg/%04d", i)
			s.put(key, "x", "", nil)
			want = append(want, key+" 1")
		}
		if d := cmp.Diff(want, s.list("seg/")); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
	})
	t.Run("large", func(t *testing.T) {
		s := suite{t, open(t)}
		body := strings.Repeat("0123456789abcdef", 9<<16) // 9 MiB
		s.put("seg/large", body, "", nil)
		if got, _ := s.get("seg/large"); got != body {
			t.Errorf("got %d bytes back, or others", len(got))
		}
	})
	t.Run("one of many swaps", func(t *testing.T) {
		s := suite{t, open(t)}
		s.put("head.json", "start", "", nil)
		_, version := s.get("head.json")
		won := s.race(8, "head.json", version, write.ErrConflict)
		if got, _ := s.get("head.json"); got != won {
			t.Errorf("%q is there, %q was acknowledged", got, won)
		}
	})
	t.Run("one of many creates", func(t *testing.T) {
		s := suite{t, open(t)}
		won := s.race(8, "seg/a", "", write.ErrExists)
		if got, _ := s.get("seg/a"); got != won {
			t.Errorf("%q is there, %q was acknowledged", got, won)
		}
	})
}

type suite struct {
	t *testing.T
	b write.Bucket
}

func object(body string) write.Object {
	return write.Object{Body: strings.NewReader(body), Size: int64(len(body)), ContentType: "text/plain", CacheControl: "no-cache"}
}

func (s suite) put(key, body, version string, want error) {
	s.t.Helper()
	now, err := s.b.Put(s.t.Context(), key, object(body), version)
	if !errors.Is(err, want) {
		s.t.Fatalf("put %s: error %v, want %v", key, err, want)
	}
	if err != nil {
		return
	}
	if _, got := s.get(key); got != now {
		s.t.Fatalf("put %s: version %q, a get says %q", key, now, got)
	}
}

func (s suite) get(key string) (body, version string) {
	s.t.Helper()
	r, version, err := s.b.Get(s.t.Context(), key)
	if err != nil {
		s.t.Fatalf("get %s: %v", key, err)
	}
	defer r.Close()
	var b bytes.Buffer
	if _, err := io.Copy(&b, r); err != nil {
		s.t.Fatalf("get %s: %v", key, err)
	}
	return b.String(), version
}

func (s suite) delete(key string) {
	s.t.Helper()
	if err := s.b.Delete(s.t.Context(), key); err != nil {
		s.t.Fatalf("delete %s: %v", key, err)
	}
}

func (s suite) list(prefix string) (lines []string) {
	s.t.Helper()
	for o, err := range s.b.List(s.t.Context(), prefix) {
		if err != nil {
			s.t.Fatalf("list %s: %v", prefix, err)
		}
		if o.Modified.IsZero() {
			s.t.Errorf("list %s: %s has no time", prefix, o.Key)
		}
		lines = append(lines, fmt.Sprintf("%s %d", o.Key, o.Size))
	}
	slices.Sort(lines)
	return lines
}

// race makes n puts at once, checks that exactly one succeeds, and returns what that one has put.
func (s suite) race(n int, key, version string, others error) (won string) {
	s.t.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { _, errs[i] = s.b.Put(s.t.Context(), key, object(fmt.Sprint("writer ", i)), version) })
	}
	wg.Wait()
	for i, err := range errs {
		switch {
		case err == nil && won == "":
			won = fmt.Sprint("writer ", i)
		case err == nil:
			s.t.Errorf("a second put was acknowledged: writer %d after %s", i, won)
		case !errors.Is(err, others):
			s.t.Errorf("writer %d: error %v, want %v", i, err, others)
		}
	}
	if won == "" {
		s.t.Fatal("nobody's put was acknowledged")
	}
	return won
}
