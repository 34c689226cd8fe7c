package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/test/clients"
	"ociproxy/test/image"
	"ociproxy/test/parts"
	"ociproxy/test/world"
)

// manyTags pushes one small image under count tags and returns the tags sorted. A page of the registry has 50 tags.
func manyTags(t *testing.T, w *world.World, repository string, count int) []string {
	t.Helper()
	img := image.New(t, 6, 1<<10)
	tags := make([]string, count)
	for i := range tags {
		tags[i] = fmt.Sprintf("v%03d", i)
		w.Push(t, img, repository, tags[i], world.Canonical)
	}
	return tags
}

// Clients page through tag lists by the links that the proxy rewrites.
func TestTagPages(t *testing.T) {
	w := world.Start(t, nil)
	want := manyTags(t, w, "library/many", 120)
	host := w.At(world.Home)

	t.Run("crane", func(t *testing.T) {
		got := strings.Fields(clients.Crane(t, "ls", host+"/library/many"))
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("tags (-want +got):\n%s", diff)
		}
	})
	t.Run("skopeo", func(t *testing.T) {
		var list struct {
			Repository string
			Tags       []string
		}
		if err := json.Unmarshal([]byte(clients.SkopeoTags(t, host+"/library/many")), &list); err != nil {
			t.Fatal(err)
		}
		slices.Sort(list.Tags)
		if diff := cmp.Diff(want, list.Tags); diff != "" {
			t.Errorf("tags (-want +got):\n%s", diff)
		}
	})
	t.Run("links", func(t *testing.T) {
		// Follow Link until there is none, as the specification says.
		var got []string
		next := &url.URL{Scheme: "http", Host: host, Path: "/v2/library/many/tags/list", RawQuery: "n=7"}
		for pages := 0; next != nil; pages++ {
			if pages > len(want) {
				t.Fatal("the links go round in a circle")
			}
			resp := do(t, http.MethodGet, next.String(), nil)
			var page struct {
				Name string
				Tags []string
			}
			if err := json.NewDecoder(resp.Body).Decode(&page); err != nil {
				t.Fatal(err)
			}
			if page.Name != "library/many" || len(page.Tags) > 7 {
				t.Fatalf("page of %q with %d tags", page.Name, len(page.Tags))
			}
			got = append(got, page.Tags...)
			next = follow(t, next, resp.Header.Get("Link"))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("tags (-want +got):\n%s", diff)
		}
	})
}

// follow resolves a Link header. It returns nil if there is none.
func follow(t *testing.T, from *url.URL, link string) *url.URL {
	t.Helper()
	if link == "" {
		return nil
	}
	target, rest, ok := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	if !ok || strings.ReplaceAll(rest, " ", "") != `;rel="next"` {
		t.Fatalf("Link: %s", link)
	}
	next, err := from.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	if next.Host != from.Host {
		t.Fatalf("Link leads away from %s: %s", from.Host, link)
	}
	return next
}

// regctl follows links by itself too.
func TestSlowTagPagesRegctl(t *testing.T) {
	parts.Slow(t)
	w := world.Start(t, nil)
	want := manyTags(t, w, "library/many", 120)
	host := w.At(world.Home)
	got := strings.Fields(clients.Regctl(t, host, "tag", "ls", host+"/library/many"))
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}
