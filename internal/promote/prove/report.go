package prove

import (
	"slices"
	"sync"
	"time"

	"ociproxy/internal/manifest"
	"ociproxy/internal/oci"
	"ociproxy/internal/promote"
)

// Class is a kind of finding. The set is closed, because it is a metric's label. The names are stable.
type Class string

// The classes.
const (
	Missing    Class = "missing"    // a digest, a tag or a part of an image is not in the destination
	Moved      Class = "moved"      // the tag has another digest
	Altered    Class = "altered"    // the registry's content does not match the digest
	Unsigned   Class = "unsigned"   // no signature of a trusted key in the canonical destination
	Unstored   Class = "unstored"   // a store's inventory does not list blobs of the image
	Unexpected Class = "unexpected" // a repository, tag or manifest in a destination that no manifest lists
	Unreadable Class = "unreadable" // unknown: a registry or store did not answer, or a project's manifests are faulty
)

// bits are the classes' bits in an exit code. 1 is any failure; 2 and 3 are wrong usage and invalid manifests.
var bits = map[Class]int{Unreadable: 1, Unexpected: 4, Missing: 8, Moved: 16, Altered: 32, Unsigned: 64, Unstored: 128}

// Classes returns all classes.
func Classes() []Class {
	return []Class{Missing, Moved, Altered, Unsigned, Unstored, Unexpected, Unreadable}
}

// Bit returns the class's bit in an exit code.
func (c Class) Bit() int { return bits[c] }

// Finding is one difference between production and its manifests.
type Finding struct {
	Class      Class      `json:"class"`
	Project    string     `json:"project,omitempty"`    // held back because its manifests are faulty
	Repository string     `json:"repository,omitempty"` // full name
	Digest     oci.Digest `json:"digest,omitzero"`      // the promoted digest; for an unexpected object, its own
	Tag        string     `json:"tag,omitempty"`
	Found      oci.Digest `json:"found,omitzero"`  // the tag's actual digest
	Store      string     `json:"store,omitempty"` // the store that does not have it
	Place      string     `json:"place,omitempty"` // file:line:column of the request in the manifests
	Detail     string     `json:"detail"`
}

// Subject returns what a finding is about, in one word.
func (f *Finding) Subject() string {
	switch {
	case f.Tag != "":
		return f.Repository + ":" + f.Tag
	case !f.Digest.IsZero():
		return f.Repository + "@" + f.Digest.String()
	case f.Repository == "" && f.Store == "":
		return (&manifest.Held{Project: f.Project}).What()
	case f.Repository == "":
		return f.Store
	}
	return f.Repository
}

// Report is the result of one look: the JSON document of `oci-proxyctl promote verify`. Fields are only added.
type Report struct {
	Manifests    string           `json:"manifests"` // the path from which they were read
	Hash         string           `json:"hash"`      // of their content
	StartedAt    time.Time        `json:"startedAt"`
	DurationMs   int64            `json:"durationMs"`
	Read         Depth            `json:"read"`         // depth of reading
	Repositories int64            `json:"repositories"` // destination repositories that were examined
	Digests      int64            `json:"digests"`      // promoted digests, counted per destination
	Tags         int64            `json:"tags"`
	Lost         int64            `json:"lost"` // digests known to be lost; they are not reported as missing
	BlobsRead    int64            `json:"blobsRead"`
	BytesRead    int64            `json:"bytesRead"`
	Stores       []string         `json:"stores"`             // stores that were examined
	Unlisted     []string         `json:"unlisted"`           // destinations whose repositories cannot be listed
	Unjudged     []string         `json:"unjudged,omitempty"` // projects without a file: what they have is not unexpected
	Held         []*manifest.Held `json:"held,omitempty"`     // projects with faulty manifests: each is a finding too
	Found        map[Class]int64  `json:"found"`              // number of all findings by class, without empty classes
	Findings     []Finding        `json:"findings"`           // the first findings of each class
	Omitted      int64            `json:"omitted"`            // findings that are counted but not listed
	Idle         []promote.Idle   `json:"idle,omitempty"`     // exceptions that changed nothing
	Asked        map[string]int64 `json:"asked"`              // requests by host
	ExitCode     int              `json:"exitCode"`
}

// Clean reports whether production matches the manifests, as far as it was examined.
func (r *Report) Clean() bool { return len(r.Found) == 0 }

// results collects a report from several goroutines.
type results struct {
	mu    sync.Mutex
	r     *Report
	limit int
	lost  map[oci.Digest]bool // not reported as missing
}

func (c *results) find(f Finding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.r.Found[f.Class]++
	if c.limit > 0 && c.r.Found[f.Class] > int64(c.limit) {
		c.r.Omitted++
		return
	}
	c.r.Findings = append(c.r.Findings, f)
}

func (c *results) change(f func(*Report)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c.r)
}

// finish sorts the findings, so that their order is always the same.
func (c *results) finish() *Report {
	slices.SortStableFunc(c.r.Findings, compareFindings)
	slices.Sort(c.r.Unlisted)
	for class := range c.r.Found {
		c.r.ExitCode |= class.Bit()
	}
	c.r.DurationMs = time.Since(c.r.StartedAt).Milliseconds()
	return c.r
}
