package promote

import (
	"fmt"

	"ociproxy/internal/oci"
)

// Promotion is one digest of an image, with the repository to read it from, and what is missing where.
type Promotion struct {
	Project string     `json:"project,omitempty"` // empty: a plain manifest
	Image   string     `json:"image"`             // as the manifest names it
	Digest  oci.Digest `json:"digest"`
	From    string     `json:"from"` // full name of a repository that has it
	To      []Target   `json:"to"`   // never empty
	// Canonical is the full name of the repository where the image is signed: the repository in the first destination
	// of its project.
	Canonical string `json:"canonical"`
}

// Target is what one destination does not have.
type Target struct {
	Destination string `json:"destination"`    // as the manifest names it
	Repository  string `json:"repository"`     // full name
	Copy        bool   `json:"copy,omitempty"` // the digest is not there yet
	Tags        []Tag  `json:"tags,omitempty"` // to set, in the manifest's order
}

// Tag is a tag to set, and what it pointed to when the plan was made.
type Tag struct {
	Name string     `json:"name"`
	Was  oci.Digest `json:"was,omitzero"` // zero: it did not exist
	// Merge: the existing content stays and the promotion adds to it: the tag is a list of what refers to a digest
	// ("sha256-…").
	Merge bool `json:"merge,omitempty"`
}

// Class is a kind of failure. The names are stable.
type Class string

// The classes, and what happens to the failed item.
const (
	TagMoved   Class = "tag-moved"   // the tag exists with another digest, and stays
	SourceGone Class = "source-gone" // neither the source nor a destination has the digest
	Registry   Class = "registry"    // a registry could not be read, or refused something
	Store      Class = "store"       // a store did not accept a blob
	Policy     Class = "policy"      // the image is not signed as required
)

// Classes lists the classes in the order of their bits.
var Classes = []Class{TagMoved, SourceGone, Registry, Store, Policy}

// Bit returns the class's bit in an exit code.
func (c Class) Bit() int {
	for i, other := range Classes {
		if c == other {
			return 1 << i
		}
	}
	return 0
}

// Failure is something that is not promoted, and why. It does not stop anything else.
type Failure struct {
	Class      Class      `json:"class"`
	Project    string     `json:"project,omitempty"`
	Image      string     `json:"image"`
	Repository string     `json:"repository"`      // where it failed
	Digest     oci.Digest `json:"digest,omitzero"` // zero: all of the image's digests
	Tag        string     `json:"tag,omitempty"`
	Found      oci.Digest `json:"found,omitzero"`  // the tag's actual digest
	Place      string     `json:"place,omitempty"` // file:line:column of the request in the manifests
	Message    string     `json:"message"`
	Edges      int64      `json:"edges"` // number of promotions that it concerns
}

// String returns one line.
func (f *Failure) String() string {
	what := f.Repository
	if f.Tag != "" {
		what += ":" + f.Tag
	} else if !f.Digest.IsZero() {
		what += "@" + f.Digest.String()
	}
	return fmt.Sprintf("%s: %s", what, f.Message)
}
