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
	Missing    Class = "missing"    // a digest or tag of the manifests, or a part of an image, is not in the destination
	Moved      Class = "moved"      // the tag has another digest
	Altered    Class = "altered"    // what the registry sends is not what the digest says
	Unsigned   Class = "unsigned"   // no signature of a trusted key in the canonical destination
	Unstored   Class = "unstored"   // a store's inventory lacks blobs of the image
	Unexpected Class = "unexpected" // a repository, tag or manifest in a destination that no manifest lists
	Unreadable Class = "unreadable" // a registry or store did not answer, or a project's manifests are faulty: nobody knows
)

// bits are the classes' parts of an exit code. 1 is any failure; 2 and 3 are wrong usage and invalid manifests.
var bits = map[Class]int{Unreadable: 1, Unexpected: 4, Missing: 8, Moved: 16, Altered: 32, Unsigned: 64, Unstored: 128}

// Classes are all classes.
func Classes() []Class {
	return []Class{Missing, Moved, Altered, Unsigned, Unstored, Unexpected, Unreadable}
}

// Bit is the class's part of an exit code.
func (c Class) Bit() int { return bits[c] }

// Finding is one difference between production and its manifests.
type Finding struct {
	Class      Class      `json:"class"`
	Project    string     `json:"project,omitempty"`    // that is held back, since its manifests are faulty
	Repository string     `json:"repository,omitempty"` // in full
	Digest     oci.Digest `json:"digest,omitzero"`      // as promoted; of what is unexpected, what is there
	Tag        string     `json:"tag,omitempty"`
	Found      oci.Digest `json:"found,omitzero"`  // what the tag is instead
	Store      string     `json:"store,omitempty"` // that lacks it
	Place      string     `json:"place,omitempty"` // file:line:column of who asked for it
	Detail     string     `json:"detail"`
}

// Subject is what a finding is about, in a word.
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

// Report is the outcome of one look: the JSON document of `oci-proxyctl promote verify`. Fields are only added.
type Report struct {
	Manifests    string           `json:"manifests"` // the path they were read from
	Hash         string           `json:"hash"`      // of all that they say
	StartedAt    time.Time        `json:"startedAt"`
	DurationMs   int64            `json:"durationMs"`
	Read         Depth            `json:"read"`         // how much was read
	Repositories int64            `json:"repositories"` // of destinations, that were looked at
	Digests      int64            `json:"digests"`      // promoted ones, each destination counted
	Tags         int64            `json:"tags"`
	Lost         int64            `json:"lost"` // digests known to be lost, which are not missed
	BlobsRead    int64            `json:"blobsRead"`
	BytesRead    int64            `json:"bytesRead"`
	Stores       []string         `json:"stores"`             // that were looked at
	Unlisted     []string         `json:"unlisted"`           // destinations that list no repositories: unexpected ones are not known
	Unjudged     []string         `json:"unjudged,omitempty"` // projects that lack a file: what they have is not unexpected
	Held         []*manifest.Held `json:"held,omitempty"`     // projects whose manifests are faulty: each is a finding, too
	Found        map[Class]int64  `json:"found"`              // all findings, by class; classes without any are left out
	Findings     []Finding        `json:"findings"`           // the first ones of each class
	Omitted      int64            `json:"omitted"`            // findings that are counted and not listed
	Idle         []promote.Idle   `json:"idle,omitempty"`     // exceptions that changed nothing
	Asked        map[string]int64 `json:"asked"`              // requests, by host
	ExitCode     int              `json:"exitCode"`
}

// Clean reports whether production is what the manifests say, as far as it was examined.
func (r *Report) Clean() bool { return len(r.Found) == 0 }

// results gathers a report from several goroutines.
type results struct {
	mu    sync.Mutex
	r     *Report
	limit int
	lost  map[oci.Digest]bool // those that are not missed
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

// finish puts the findings in an order that is the same each time.
func (c *results) finish() *Report {
	slices.SortStableFunc(c.r.Findings, compareFindings)
	slices.Sort(c.r.Unlisted)
	for class := range c.r.Found {
		c.r.ExitCode |= class.Bit()
	}
	c.r.DurationMs = time.Since(c.r.StartedAt).Milliseconds()
	return c.r
}
