package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"ociproxy/internal/oci"
)

// A view asks for nothing that the listing contains, and for everything else.
func TestView(t *testing.T) {
	a, b := digest(t, "sha256:"+hexA), digest(t, "sha256:"+hexB)
	down := errors.New("no answer")
	for _, tt := range []struct {
		name  string
		list  Listing
		what  string // a tag, wanted to be b, or a digest
		reply oci.Digest
		err   error
		want  string
		asked bool
	}{
		{"listed tag", Listing{Tags: []Tag{{"v1", a}, {"v2", b}}}, "v2", a, nil, b.String(), false},
		{"listed tag of another digest", Listing{Tags: []Tag{{"v1", a}, {"v2", a}}}, "v2", b, nil, b.String(), true},
		{"tag without a digest", Listing{Tags: []Tag{{"v1", oci.Digest{}}}}, "v1", a, nil, a.String(), true},
		{"tag that went meanwhile", Listing{Tags: []Tag{{"v1", oci.Digest{}}}}, "v1", a, ErrNotFound, "", true},
		{"no such tag", Listing{Tags: []Tag{{"v1", a}}}, "v0", a, nil, "", false},
		{"tag beyond the end", Listing{Tags: []Tag{{"v1", a}}, Truncated: true}, "v2", b, nil, b.String(), true},
		{"tag, no answer", Listing{Truncated: true}, "v2", a, down, "no answer", true},
		{"listed digest", Listing{Manifests: []Listed{{Digest: a}, {Digest: b}}, All: true}, b.String(), a, down, "true", false},
		{"no such digest", Listing{Manifests: []Listed{{Digest: a}}, All: true}, b.String(), b, nil, "false", false},
		{"digest beyond the end", Listing{Manifests: []Listed{{Digest: a}}, All: true, Truncated: true}, b.String(), b, nil, "true", true},
		{"digests not listed", Listing{}, b.String(), b, nil, "true", true},
		{"digest not there", Listing{}, b.String(), b, ErrNotFound, "false", true},
		{"digest, no answer", Listing{}, b.String(), oci.Digest{}, down, "no answer", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := ""
			v, err := NewView(&tt.list, nil, func(_ context.Context, ref string) (oci.Digest, error) {
				if asked = ref; tt.err != nil {
					return oci.Digest{}, fmt.Errorf("asked: %w", tt.err)
				}
				return tt.reply, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			var got string
			if strings.Contains(tt.what, ":") {
				has, e := v.Has(t.Context(), digest(t, tt.what))
				got, err = fmt.Sprint(has), e
			} else {
				d, e := v.Tag(t.Context(), tt.what, b)
				got, err = d.String(), e
			}
			if err != nil {
				got = strings.TrimPrefix(err.Error(), "asked: ")
			}
			if got != tt.want || (asked != "") != tt.asked || tt.asked && asked != tt.what {
				t.Errorf("%q, asked for %q; want %q, asked: %v", got, asked, tt.want, tt.asked)
			}
		})
	}
}

// A repository without a list may have digests and tags. A repository that cannot be listed is an error.
func TestViewOfNothing(t *testing.T) {
	a, b := digest(t, "sha256:"+hexA), digest(t, "sha256:"+hexB)
	v, err := NewView(nil, fmt.Errorf("list: %w", ErrNotFound), func(_ context.Context, ref string) (oci.Digest, error) {
		if ref == "v1" || ref == a.String() {
			return a, nil
		}
		return oci.Digest{}, ErrNotFound
	})
	if err != nil {
		t.Fatal(err)
	}
	for d, want := range map[oci.Digest]bool{a: true, b: false} {
		if has, err := v.Has(t.Context(), d); has != want || err != nil || v.Complete() || !v.Unlisted {
			t.Errorf("%s: %v, %v", d, has, err)
		}
	}
	for tag, want := range map[string]oci.Digest{"v1": a, "v2": {}} {
		if d, err := v.Tag(t.Context(), tag, b); d != want || err != nil {
			t.Errorf("%s: %v, %v", tag, d, err)
		}
	}
	// A listing is trusted where it raises no alarm.
	v.Listing, v.Unlisted = Listing{All: true, Tags: []Tag{{"late", b}, {"v1", b}}}, false
	if d, err := v.TagIs(t.Context(), "v1", a); d != a || err != nil {
		t.Errorf("a tag that was moved since: %v, %v", d, err)
	}
	if d, err := v.TagIs(t.Context(), "v1", b); d != b || err != nil {
		t.Errorf("a tag that is listed as it should be: %v, %v", d, err)
	}
	if _, gone, err := v.Gone(t.Context(), "late"); !gone || err != nil {
		t.Errorf("a listed tag of what was deleted: %v, %v", gone, err)
	}
	if has, err := v.Holds(t.Context(), a); !has || err != nil {
		t.Errorf("a digest that is not listed yet: %v, %v", has, err)
	}
	if _, err := NewView(nil, ErrThrottled, nil); !errors.Is(err, ErrThrottled) {
		t.Errorf("%v", err)
	}
}
