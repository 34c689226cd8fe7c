package against

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/check/judge"
)

// merge says the same as two maps.
func TestMerge(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		want := map[string]where{}
		var lists [2][]string
		for i := range lists {
			for range random.IntN(20) {
				name := fmt.Sprint(random.IntN(30))
				if want[name]&(here<<i) == 0 {
					want[name] |= here << i
					lists[i] = append(lists[i], name)
				}
			}
			slices.Sort(lists[i])
		}
		got := map[string]where{}
		var order []string
		err := merge(told(lists[0]), told(lists[1]), func(name string, at where) error {
			got[name] = at
			order = append(order, name)
			return nil
		})
		if err != nil || !maps.Equal(got, want) || !slices.IsSorted(order) || len(order) != len(got) {
			t.Fatalf("%q and %q: %v, %v", lists[0], lists[1], got, err)
		}
	}
}

// listing serves a list in pages, as it is.
func listing(t *testing.T, names []string, page int) *side {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := 0
		_, _ = fmt.Sscan(r.URL.Query().Get("from"), &from)
		to := min(len(names), from+page)
		if to < len(names) {
			w.Header().Set("Link", fmt.Sprintf(`</v2/app/tags/list?from=%d>; rel="next"`, to))
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"name": "app", "tags": names[from:to]})
	}))
	t.Cleanup(srv.Close)
	base, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	return &side{base, &judge.Asker{Client: srv.Client(), Timeout: 10 * time.Second}}
}

// A list comes in order, each name once, however long it is and whatever its own order.
func TestSorted(t *testing.T) {
	for _, n := range []int{0, 7, maxKept, maxKept + 1, 2 * maxKept} {
		for _, shuffled := range []bool{false, true} {
			var names []string
			for i := range n {
				names = append(names, fmt.Sprintf("v%06d", i))
			}
			want := slices.Clone(names)
			if shuffled {
				rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
			}
			list, err := listing(t, names, 1000).sorted(t.Context(), "/v2/app/tags/list", "tags")
			if err != nil {
				t.Fatal(err)
			}
			got, err := all(list)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%d names, shuffled: %v: %d names, %v", n, shuffled, len(got), err)
			}
		}
	}
}

// A list that cannot be read to its end is an error, not a short list.
func TestBrokenLists(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"loop": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "<"+r.URL.RequestURI()+`>; rel="next"`)
		},
		"away": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", `<http://other.example/>; rel="next"`)
		},
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"failing": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer(w, r)
			_, _ = w.Write([]byte(`{"tags":["a"]}`))
		}))
		t.Cleanup(srv.Close)
		base, err := url.Parse(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		s := &side{base, &judge.Asker{Client: srv.Client(), Timeout: 10 * time.Second}}
		if _, err := s.sorted(t.Context(), "/v2/app/tags/list", "tags"); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A sample has the same names whatever the order, and no more than it may.
func TestSample(t *testing.T) {
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprint("v", i))
	}
	pick := func() (out []string) {
		s := sample{n: 7}
		for _, n := range names {
			s.offer(n)
			s.offer(n)
		}
		for _, k := range s.kept {
			out = append(out, k.name)
		}
		return out
	}
	first := pick()
	rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	if diff := cmp.Diff(first, pick()); diff != "" || len(first) != 7 {
		t.Errorf("%d names (-first +second)\n%s", len(first), diff)
	}
}

// What servers make long has a bound.
func TestTallyBounds(t *testing.T) {
	c := &tally{r: Report{Counts: map[Kind]int64{}}}
	for i := range maxDifferences + 10 {
		c.differ(Difference{Kind: Digest, Reference: strings.Repeat("x", i%3)})
	}
	for range maxFailures + 10 {
		c.fail(Failure{Error: "x"})
	}
	r := c.finish()
	if len(r.Differences) != maxDifferences || r.Found() != maxDifferences+10 || len(r.Failures) != maxFailures || r.Failed != maxFailures+10 {
		t.Errorf("%d of %d differences, %d of %d failures", len(r.Differences), r.Found(), len(r.Failures), r.Failed)
	}
}
