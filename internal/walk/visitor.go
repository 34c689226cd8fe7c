package walk

import (
	"context"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
)

// Visitor is the purpose of a walk. Several goroutines call its methods at once.
type Visitor interface {
	// Known reports whether a manifest need not be read: everything that belongs to it is where it should be.
	Known(d oci.Digest) bool
	// Ripe reports whether to ask for the referrers of a known manifest all the same.
	Ripe(d oci.Digest) bool
	// Blob takes a blob of a manifest. It may keep n from finishing: [Node.Hold], until [Walker.Release].
	Blob(ctx context.Context, n *Node, b registry.Descriptor)
	// Skipped takes content that is left out, and why.
	Skipped(repo string, b registry.Descriptor, why string)
	// Gone takes what only a list names and the source does not have: a tag or digest, or the repository itself, then
	// ref is "".
	Gone(repo, ref string)
	// Finished is called once for each node, when nothing of it is on its way any more.
	Finished(n *Node)
	// Problem takes what could not be read.
	Problem(repo, ref string, err error)
	// Listed takes the number of manifests or tags of one repository.
	Listed(repo string, images int)
}

// silent is a visitor that knows nothing and takes nothing.
type silent struct{}

func (silent) Known(oci.Digest) bool                            { return false }
func (silent) Ripe(oci.Digest) bool                             { return false }
func (silent) Blob(context.Context, *Node, registry.Descriptor) {}
func (silent) Skipped(string, registry.Descriptor, string)      {}
func (silent) Gone(string, string)                              {}
func (silent) Finished(*Node)                                   {}
func (silent) Problem(string, string, error)                    {}
func (silent) Listed(string, int)                               {}
