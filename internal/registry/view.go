package registry

import (
	"context"
	"errors"
	"slices"
	"strings"

	"ociproxy/internal/oci"
)

// View is a repository as far as it is known: its listing, and a function that asks for the rest. Several goroutines
// may use it if Resolve allows that.
type View struct {
	Listing
	// Unlisted: the registry has no list of the repository. That does not prove that it is empty: some registries
	// answer so where there are digests and no tags (CNCF distribution does).
	Unlisted bool
	// Unnamed: in addition, the registry says that it does not know the repository.
	Unnamed bool
	// Resolve asks for the digest of a tag, or for a digest itself: [ErrNotFound] when the repository has none.
	Resolve func(ctx context.Context, ref string) (oci.Digest, error)
}

// NewView takes the result of listing a repository. It is no error when there is no listing: then the view asks for
// everything.
func NewView(l *Listing, err error, resolve func(context.Context, string) (oci.Digest, error)) (*View, error) {
	v := &View{Resolve: resolve}
	switch {
	case errors.Is(err, ErrNotFound):
		v.Unlisted, v.Unnamed = true, NameUnknown(err)
	case err != nil:
		return nil, err
	default:
		v.Listing = *l
	}
	return v, nil
}

// Complete reports whether the listing names every manifest: then nothing needs to be asked.
func (l *Listing) Complete() bool { return l.All && !l.Truncated }

// Tag returns the digest of a tag, zero when there is no such tag. It asks, once, where the listing does not have the
// digest, and where it has another digest than want: lists are behind recent pushes.
func (v *View) Tag(ctx context.Context, name string, want oci.Digest) (oci.Digest, error) {
	d, listed := v.listed(name)
	switch {
	case listed && d == want:
		return d, nil
	case !listed && !v.Truncated && !v.Unlisted:
		return oci.Digest{}, nil
	}
	return v.ask(ctx, name)
}

// TagIs is Tag for callers that also raise an alarm when there is no such tag: it believes a listing only when it
// agrees.
func (v *View) TagIs(ctx context.Context, name string, want oci.Digest) (oci.Digest, error) {
	if d, _ := v.listed(name); d == want {
		return d, nil
	}
	return v.ask(ctx, name)
}

// listed is what the listing says of a tag; zero: it lists no digests.
func (v *View) listed(name string) (d oci.Digest, ok bool) {
	i, ok := slices.BinarySearchFunc(v.Tags, name, func(t Tag, name string) int { return strings.Compare(t.Name, name) })
	if ok {
		d = v.Tags[i].Digest
	}
	return d, ok
}

// Has reports whether the repository has a digest. It asks only where the listing does not say it.
func (v *View) Has(ctx context.Context, d oci.Digest) (bool, error) {
	_, listed := slices.BinarySearchFunc(v.Manifests, d, func(m Listed, d oci.Digest) int {
		return strings.Compare(m.Digest.String(), d.String())
	})
	if listed || v.Complete() {
		return listed, nil
	}
	return v.Holds(ctx, d)
}

// Holds asks the registry whether the repository has a digest, whatever the listing says.
func (v *View) Holds(ctx context.Context, d oci.Digest) (bool, error) {
	got, err := v.ask(ctx, d.String())
	return !got.IsZero(), err
}

// Gone asks whether a listed tag leads to nothing any more: some lists keep the tags of what was deleted.
func (v *View) Gone(ctx context.Context, tag string) (now oci.Digest, gone bool, err error) {
	now, err = v.ask(ctx, tag)
	return now, err == nil && now.IsZero(), err
}

func (v *View) ask(ctx context.Context, ref string) (oci.Digest, error) {
	d, err := v.Resolve(ctx, ref)
	if errors.Is(err, ErrNotFound) {
		return oci.Digest{}, nil
	}
	return d, err
}
