package audit

import (
	"ociproxy/internal/oci"
	"ociproxy/internal/walk"
)

// Report is what an audit found. Its JSON fields are stable: fields are only added.
type Report struct {
	From       From          `json:"from"`    // where the audit learnt what stores have
	Deep       bool          `json:"deep"`    // objects were read and hashed
	Sample     float64       `json:"sample"`  // percent of the blobs that were requested or read
	Spot       int           `json:"spot"`    // about how many listed blobs of each store were spot-checked
	Partial    bool          `json:"partial"` // some repositories only, or an incomplete walk: nothing is unexpected
	Source     SourceReport  `json:"source"`
	Stores     []StoreReport `json:"stores"`
	Findings   []Finding     `json:"findings"` // the first ones of each store and class
	Omitted    int64         `json:"omitted"`  // findings that are counted but not listed
	Repair     *RepairReport `json:"repair,omitempty"`
	ExitCode   int           `json:"exitCode"`
	DurationMs int64         `json:"durationMs"`
}

// SourceReport is what the images need.
type SourceReport struct {
	Repositories int      `json:"repositories"`
	Images       int      `json:"images"`
	Blobs        int64    `json:"blobs"`
	Bytes        int64    `json:"bytes"`
	Failed       int      `json:"failed"` // images or repositories that could not be read
	Errors       []string `json:"errors"` // the first ones
	// Misstated are the first images whose manifests state wrong sizes. Wrong counts all of them, each blob of each
	// image.
	Misstated []Misstated `json:"misstated,omitempty"`
	Wrong     int         `json:"misstatedCount,omitempty"`
	// Vanished are the first repositories and tags that are in a list but do not exist any more, which is no failure.
	// Gone counts all of them.
	Vanished []walk.Vanished `json:"vanished,omitempty"`
	Gone     int             `json:"vanishedCount,omitempty"`
}

func (s *SourceReport) vanished(v walk.Vanished) {
	if s.Gone++; len(s.Vanished) < maxVanished {
		s.Vanished = append(s.Vanished, v)
	}
}

// Totals count blobs and their bytes.
type Totals struct {
	Blobs int64 `json:"blobs"`
	Bytes int64 `json:"bytes"` // of the blobs with a known size
}

func (t *Totals) add(size int64) {
	t.Blobs++
	t.Bytes += max(0, size)
}

// StoreReport is what one store has.
type StoreReport struct {
	Name   string           `json:"store"`
	Whole  int              `json:"whole"`           // images that have every blob there, as far as the audit checked
	Broken int              `json:"broken"`          // images of which a blob is lost, missing, corrupt, short, disputed or unreadable
	Held   Totals           `json:"held"`            // by the inventory, or by the listing if there is one
	Asked  int64            `json:"asked"`           // objects requested one by one
	Read   Totals           `json:"read"`            // objects read and hashed
	Found  map[Class]Totals `json:"found"`           // by class; empty classes are left out
	Error  string           `json:"error,omitempty"` // why it could not be checked to the end
}

// Finding is one thing wrong in one store.
type Finding struct {
	Class      Class  `json:"class"`
	Store      string `json:"store"`
	Digest     string `json:"digest,omitempty"`
	Key        string `json:"key,omitempty"`        // of an object whose name is not a digest
	Size       *int64 `json:"size,omitempty"`       // from the manifests, else from the store
	Repository string `json:"repository,omitempty"` // one of those that need it
	Image      string `json:"image,omitempty"`      // the manifest there
	Detail     string `json:"detail"`
	Repaired   bool   `json:"repaired,omitempty"`
	// Images are all images that need it, in the order of the walk. They share memory and must not be changed.
	Images []ImageName `json:"images,omitempty"`

	blob int32 // index in needs.blobs; -1: no image needs it
}

// ImageName names an image.
type ImageName struct {
	Repository string `json:"repository"`
	Image      string `json:"image"`
}

// RepairReport is what a repair did.
type RepairReport struct {
	DryRun   bool     `json:"dryRun"`
	Planned  Totals   `json:"planned"` // blobs in stores, counted for each store
	Repaired Totals   `json:"repaired"`
	Written  Totals   `json:"written"` // objects put
	Failed   int64    `json:"failed"`
	Errors   []string `json:"errors"` // the first ones
}

// Clean reports whether nothing was found and everything was checked.
func (r *Report) Clean() bool { return r.ExitCode == 0 }

// code returns the exit code for the findings that were not repaired.
func (r *Report) code(repaired map[Class]int64) int {
	code := 0
	for _, s := range r.Stores {
		if s.Error != "" {
			code |= CodeUnknown
		}
	}
	for c, n := range r.count() {
		if n > repaired[c] {
			code |= c.code()
		}
	}
	if r.Source.Wrong > 0 {
		code |= CodeShort
	}
	if r.Source.Failed > 0 || r.Repair != nil && r.Repair.Failed > 0 {
		code |= CodeUnknown
	}
	return code
}

func (r *Report) count() map[Class]int64 {
	sum := map[Class]int64{}
	for _, s := range r.Stores {
		for c, t := range s.Found {
			sum[c] += t.Blobs
		}
	}
	return sum
}

// breaks reports whether a blob of this class breaks an image.
func (c Class) breaks() bool {
	switch c {
	case Lost, Missing, Corrupt, Short, Disputed, Unreadable:
		return true
	case Unlisted, Unexpected, Unknown:
	}
	return false
}

// fault is a finding that can be repaired, with what Repair needs.
type fault struct {
	store  int
	class  Class
	digest oci.Digest
	blob   int32 // -1: no image needs it
	record bool  // the inventory lists it
	listed int64 // with this size, if it does
	size   int64
}
