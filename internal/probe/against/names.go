package against

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/strictjson"
)

// side is one of the two names. One goroutine may use it.
type side struct {
	base  *url.URL
	asker *judge.Asker
}

// maxHops is how many redirects are followed: one to the registry or store behind the proxy, and those that it makes.
const maxHops = 5

var acceptHeader = map[string]string{"Accept": judge.Accept}

// ask sends one request and follows its redirects.
func (s *side) ask(ctx context.Context, method, path string, limit int64) judge.Answer {
	return s.asker.Ask(ctx, judge.Query{
		Method: method, URL: s.base.Scheme + "://" + s.base.Host + path, Max: limit, Header: acceptHeader, Redirects: maxHops,
	})
}

const (
	maxPages = 100_000
	// maxUnsorted is how many names of a list are kept when a registry does not sort them as the specification wants.
	maxUnsorted = 500_000
)

var (
	errUnsorted = errors.New("the list is not sorted")
	errMissing  = errors.New("404 for the list")
)

// names yields a list of tags or repositories, page by page. It keeps one page. With sorted, a name that is out of order
// ends the list with errUnsorted.
func (s *side) names(ctx context.Context, path, field string, sorted bool) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		next, last := path, ""
		seen := map[string]bool{}
		for range maxPages {
			if seen[next] {
				yield("", fmt.Errorf("the list loops at %.80s", next))
				return
			}
			seen[next] = true
			page, link, err := s.page(ctx, next, field)
			if err != nil {
				yield("", err)
				return
			}
			for _, name := range page {
				if sorted && name <= last {
					yield("", errUnsorted)
					return
				}
				if last = name; !yield(name, nil) {
					return
				}
			}
			if link == "" {
				return
			}
			next = link
		}
		yield("", fmt.Errorf("the list has more than %d pages", maxPages))
	}
}

// page reads one page of a list, and the path of the next one.
func (s *side) page(ctx context.Context, path, field string) (names []string, next string, err error) {
	ans := s.ask(ctx, http.MethodGet, path, judge.MaxManifest)
	switch {
	case ans.Err != nil:
		return nil, "", ans.Err
	case ans.Status == http.StatusNotFound:
		return nil, "", errMissing
	case ans.Status != http.StatusOK:
		return nil, "", fmt.Errorf("%d for the list", ans.Status)
	}
	body := map[string]any{}
	if err := strictjson.Unmarshal(ans.Body, &body, strictjson.Bounds{Bytes: judge.MaxManifest}); err != nil {
		return nil, "", fmt.Errorf("the list cannot be read: %w", err)
	}
	list, _ := body[field].([]any)
	for _, one := range list {
		if name, ok := one.(string); ok && name != "" {
			names = append(names, name)
		}
	}
	target, rest, ok := strings.Cut(strings.TrimPrefix(ans.Header.Get("Link"), "<"), ">")
	if !ok || !strings.Contains(rest, "next") {
		return names, "", nil
	}
	to, err := s.base.Parse(target)
	if err != nil || len(ans.Hops) == 0 && to.Host != s.base.Host {
		return nil, "", fmt.Errorf("the next page is at another host: %.80q", target)
	}
	return names, to.RequestURI(), nil
}

// where says which names have something.
type where int

const (
	here where = 1 << iota
	there
	both = here | there
)

// maxKept is how many names of a list are kept, so that it is read once. A longer list is read twice: it must be sorted
// before it can be compared name by name.
const maxKept = 10_000

// sorted returns a list in order.
func (s *side) sorted(ctx context.Context, path, field string) (iter.Seq2[string, error], error) {
	var kept []string
	n, last, inOrder := 0, "", true
	for name, err := range s.names(ctx, path, field, false) {
		if err != nil {
			return nil, err
		}
		inOrder = inOrder && name > last
		last = name
		if n++; n <= maxKept {
			kept = append(kept, name)
		}
	}
	switch {
	case n <= maxKept:
		slices.Sort(kept)
		return told(slices.Compact(kept)), nil
	case inOrder:
		return s.names(ctx, path, field, true), nil
	}
	list, err := all(s.names(ctx, path, field, false))
	return told(list), err
}

// merge calls each for all names of two lists that are in order, once, and says who has them. It keeps no list.
func merge(one, two iter.Seq2[string, error], each func(name string, at where) error) error {
	nextA, stopA := iter.Pull2(one)
	defer stopA()
	nextB, stopB := iter.Pull2(two)
	defer stopB()
	a, errA, moreA := nextA()
	b, errB, moreB := nextB()
	for moreA || moreB {
		if err := cmp.Or(errA, errB); err != nil {
			return err
		}
		var err error
		switch {
		case !moreB || moreA && a < b:
			err = each(a, here)
			a, errA, moreA = nextA()
		case !moreA || b < a:
			err = each(b, there)
			b, errB, moreB = nextB()
		default:
			err = each(a, both)
			a, errA, moreA = nextA()
			b, errB, moreB = nextB()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// all returns a list, sorted, each name once.
func all(list iter.Seq2[string, error]) (out []string, err error) {
	for name, err := range list {
		if err != nil {
			return nil, err
		}
		if out = append(out, name); len(out) > maxUnsorted {
			return nil, fmt.Errorf("a list that is not sorted has more than %d names", maxUnsorted)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func told(list []string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, name := range list {
			if !yield(name, nil) {
				return
			}
		}
	}
}

// sample keeps n names, the same ones whenever the list has them. n = 0 keeps none, because all are wanted.
type sample struct {
	n    int
	kept []hashed // by hash
}

type hashed struct {
	hash uint64
	name string
}

func (s *sample) offer(name string) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	one := hashed{h.Sum64(), name}
	i, found := slices.BinarySearchFunc(s.kept, one, func(a, b hashed) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), strings.Compare(a.name, b.name))
	})
	if found || i >= s.n {
		return
	}
	s.kept = slices.Insert(s.kept, i, one)
	s.kept = s.kept[:min(len(s.kept), s.n)]
}
