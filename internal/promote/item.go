package promote

import (
	"fmt"

	"ociproxy/internal/oci"
)

// Promotion is one digest of an image, where it is read from, and what is missing where.
type Promotion struct {
	Project string     `json:"project,omitempty"` // empty: of a plain manifest
	Image   string     `json:"image"`             // as the manifest has it
	Digest  oci.Digest `json:"digest"`
	From    string     `json:"from"` // full name of a repository that has it
	To      []Target   `json:"to"`   // never empty
	// Canonical is the full name of the repository where the image is signed: that of the first destination of its project.
	Canonical string `json:"canonical"`
}

// Target is what is missing in one destination.
type Target struct {
	Destination string `json:"destination"`    // as the manifest names it
	Repository  string `json:"repository"`     // full name
	Copy        bool   `json:"copy,omitempty"` // the digest is not there yet
	Tags        []Tag  `json:"tags,omitempty"` // to be set, in the manifest's order
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

// The classes, and what becomes of the failed item.
const (
	TagMoved   Class = "tag-moved"   // the tag exists with another digest, and stays
	SourceGone Class = "source-gone" // neither the source nor a destination has the digest
	Registry   Class = "registry"    // a registry could not be read, or did not take something
	Store      Class = "store"       // a store did not take a blob
	Policy     Class = "policy"      // the image is not signed as it should be
)

// Classes lists them in the order of their bits.
var Classes = []Class{TagMoved, SourceGone, Registry, Store, Policy}

// Bit is the class's part of an exit code.
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
	Repository string     `json:"repository"`      // where it happened
	Digest     oci.Digest `json:"digest,omitzero"` // zero: all of the image's digests
	Tag        string     `json:"tag,omitempty"`
	Found      oci.Digest `json:"found,omitzero"`  // what the tag is instead
	Place      string     `json:"place,omitempty"` // file:line:column of who asked for it
	Message    string     `json:"message"`
	Edges      int64      `json:"edges"` // how many promotions it is about
}

// String is one line.
func (f *Failure) String() string {
	what := f.Repository
	if f.Tag != "" {
		what += ":" + f.Tag
	} else if !f.Digest.IsZero() {
		what += "@" + f.Digest.String()
	}
	return fmt.Sprintf("%s: %s", what, f.Message)
}
