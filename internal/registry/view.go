package registry

import (
	"context"
	"errors"
	"slices"
	"strings"

	"ociproxy/internal/oci"
)

// View is a repository as far as it is known: its listing, and a question for what that leaves open. It may be used by
// several goroutines if Resolve may.
type View struct {
	Listing
	// Resolve asks for the digest of a tag, or for a digest itself: [ErrNotFound] when the repository has none.
	Resolve func(ctx context.Context, ref string) (oci.Digest, error)
}

// NewView takes what came of asking for a listing. That there is no repository is no error: it is empty.
func NewView(l *Listing, err error, resolve func(context.Context, string) (oci.Digest, error)) (*View, error) {
	if errors.Is(err, ErrNotFound) {
		l, err = &Listing{All: true}, nil
	}
	if err != nil {
		return nil, err
	}
	return &View{*l, resolve}, nil
}

// Complete says that the listing names every manifest: nothing needs to be asked.
func (l *Listing) Complete() bool { return l.All && !l.Truncated }

// Tag returns the digest of a tag, zero when there is no such tag. It asks only where the listing does not tell.
func (v *View) Tag(ctx context.Context, name string) (oci.Digest, error) {
	i, listed := slices.BinarySearchFunc(v.Tags, name, func(t Tag, name string) int { return strings.Compare(t.Name, name) })
	switch {
	case listed && !v.Tags[i].Digest.IsZero():
		return v.Tags[i].Digest, nil
	case !listed && !v.Truncated:
		return oci.Digest{}, nil
	}
	return v.ask(ctx, name)
}

// Has says whether the repository has a digest. It asks only where the listing does not tell.
func (v *View) Has(ctx context.Context, d oci.Digest) (bool, error) {
	_, listed := slices.BinarySearchFunc(v.Manifests, d, func(m Listed, d oci.Digest) int {
		return strings.Compare(m.Digest.String(), d.String())
	})
	if listed || v.Complete() {
		return listed, nil
	}
	got, err := v.ask(ctx, d.String())
	return !got.IsZero(), err
}

func (v *View) ask(ctx context.Context, ref string) (oci.Digest, error) {
	d, err := v.Resolve(ctx, ref)
	if errors.Is(err, ErrNotFound) {
		return oci.Digest{}, nil
	}
	return d, err
}
