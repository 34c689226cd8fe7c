package registry

import (
	"context"
	"errors"
	"slices"
	"strings"

	"ociproxy/internal/oci"
)

// View is what is known of a repository: its listing, and a function that asks for the rest. Several goroutines may use
// it if Resolve allows that.
type View struct {
	Listing
	// Unlisted says that the registry has no list of the repository. That does not prove that the repository is empty:
	// some registries, such as CNCF distribution, answer so for a repository with digests but no tags.
	Unlisted bool
	// Unnamed says that, in addition, the registry reports that it does not know the repository.
	Unnamed bool
	// Resolve asks for the digest of a tag, or for a digest itself. The error is [ErrNotFound] when the repository has
	// none.
	Resolve func(ctx context.Context, ref string) (oci.Digest, error)
}

// NewView makes a view from the result of listing a repository. A missing listing is not an error: the view then asks
// for everything.
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

// Complete reports whether the listing names every manifest. If it does, nothing needs to be asked.
func (l *Listing) Complete() bool { return l.All && !l.Truncated }

// Tag returns the digest of a tag, or zero when the tag does not exist. It asks the registry, once, when the listing
// does not have the digest, or has a digest other than want: lists may be behind recent pushes.
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

// TagIs is Tag for callers that also raise an alarm when the tag does not exist. It trusts a listing only when the
// listing agrees with want.
func (v *View) TagIs(ctx context.Context, name string, want oci.Digest) (oci.Digest, error) {
	if d, _ := v.listed(name); d == want {
		return d, nil
	}
	return v.ask(ctx, name)
}

// listed returns what the listing says about a tag. The digest is zero when the registry lists no digests.
func (v *View) listed(name string) (d oci.Digest, ok bool) {
	i, ok := slices.BinarySearchFunc(v.Tags, name, func(t Tag, name string) int { return strings.Compare(t.Name, name) })
	if ok {
		d = v.Tags[i].Digest
	}
	return d, ok
}

// Has reports whether the repository has a digest. It asks only when the listing does not say.
func (v *View) Has(ctx context.Context, d oci.Digest) (bool, error) {
	_, listed := slices.BinarySearchFunc(v.Manifests, d, func(m Listed, d oci.Digest) int {
		return strings.Compare(m.Digest.String(), d.String())
	})
	if listed || v.Complete() {
		return listed, nil
	}
	return v.Holds(ctx, d)
}

// Holds asks the registry whether the repository has a digest. It ignores the listing.
func (v *View) Holds(ctx context.Context, d oci.Digest) (bool, error) {
	got, err := v.ask(ctx, d.String())
	return !got.IsZero(), err
}

// Gone asks whether a listed tag no longer leads to a manifest: some lists keep the tags of deleted manifests.
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
