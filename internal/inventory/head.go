package inventory

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"time"

	"ociproxy/internal/strictjson"
)

// Names below the inventory's base URL or prefix.
const (
	HeadName      = "head.json"
	SegmentPrefix = "seg/"
)

// HeadVersion is the version of head.json that this program reads and writes.
const HeadVersion = 1

// These are the caps of the format. They are far above the needs of a registry of ten million blobs, and bound the
// work that a broken or hostile store can cause.
const (
	MaxHeadBytes    = 64 << 10
	MaxSegments     = 64
	MaxSegmentBytes = 4 << 30
	MaxMerged       = 64        // hashes in a head's list of recently merged segments
	maxCount        = 1<<32 - 2 // record numbers have four bytes in a table
)

// Head is the list of a store's segments. It is immutable once parsed or written.
type Head struct {
	Version    int          `json:"version"`
	Store      string       `json:"store"`      // whose inventory this is; bucket replication copies foreign ones
	Generation uint64       `json:"generation"` // grows with every change
	WrittenAt  time.Time    `json:"writtenAt"`  // every pass of the mirror rewrites it, changes or not
	Segments   []SegmentRef `json:"segments"`   // later ones win
	// Merged has the hashes of the segments that compactions replaced last, oldest first. A writer that does not know
	// whether it has swapped the head finds its segment in Segments or here.
	Merged []string `json:"merged,omitempty"`
	// ImagesDropped is the generation in which all images were last removed, because some blob was removed; 0: never.
	// What a writer learned about images before that no longer counts.
	ImagesDropped uint64 `json:"imagesDropped,omitempty"`
}

// SegmentRef names a segment and says how large it must be.
type SegmentRef struct {
	SHA256 string `json:"sha256"` // 64 lower-case hexadecimal digits
	Count  uint64 `json:"count"`
	Bytes  int64  `json:"bytes"`
}

// ErrHead is wrapped by every error about the content of a head.
var ErrHead = errors.New("bad head")

// ParseHead reads a head strictly. These are errors that wrap [ErrHead]: an unknown field or one in another case, a
// field that occurs twice, an exceeded cap, an impossible generation, a segment that is listed twice or has an
// impossible size. ParseHead has no clock: [Head.CheckTime] checks the head's time.
func ParseHead(body []byte) (*Head, error) {
	if len(body) > MaxHeadBytes {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrHead, MaxHeadBytes)
	}
	var version struct {
		Version *int `json:"version"`
	}
	if err := json.Unmarshal(body, &version); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHead, err)
	}
	if v := version.Version; v == nil || *v < 1 {
		return nil, fmt.Errorf("%w: no version", ErrHead)
	} else if *v != HeadVersion {
		return nil, fmt.Errorf("%w: version %d, this program reads version %d", ErrHead, *v, HeadVersion)
	}
	var h Head
	if err := strictjson.UnmarshalClosed(body, &h, strictjson.Bounds{Bytes: MaxHeadBytes}); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHead, err)
	}
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHead, err)
	}
	return &h, nil
}

func (h *Head) check() error {
	switch {
	case h.Store == "":
		return errors.New("no store")
	case h.WrittenAt.IsZero():
		return errors.New("no writtenAt")
	case h.Segments == nil:
		return errors.New("no list of segments")
	case len(h.Segments) > MaxSegments:
		return fmt.Errorf("%d segments, more than %d", len(h.Segments), MaxSegments)
	case len(h.Merged) > MaxMerged || slices.ContainsFunc(h.Merged, func(s string) bool { return !IsHash(s) }):
		return errors.New("merged: not a short list of hashes")
	case h.ImagesDropped > h.Generation:
		return fmt.Errorf("images dropped in generation %d, this is %d", h.ImagesDropped, h.Generation)
	}
	seen := map[string]bool{}
	for i, s := range h.Segments {
		if err := s.check(); err != nil {
			return fmt.Errorf("segment %d: %w", i, err)
		}
		if seen[s.SHA256] {
			return fmt.Errorf("segment %d: listed twice", i)
		}
		seen[s.SHA256] = true
	}
	return h.checkGeneration()
}

func (s SegmentRef) check() error {
	if !IsHash(s.SHA256) {
		return fmt.Errorf("sha256 %.80q: not 64 lower-case hexadecimal digits", s.SHA256)
	}
	if s.Count == 0 || s.Count > maxCount {
		return fmt.Errorf("%d records are not in 1 to %d", s.Count, uint64(maxCount))
	}
	if s.Bytes > MaxSegmentBytes {
		return fmt.Errorf("%d bytes, more than %d", s.Bytes, int64(MaxSegmentBytes))
	}
	if _, ok := s.form(); !ok {
		return fmt.Errorf("%d bytes cannot be %d records", s.Bytes, s.Count)
	}
	return nil
}

// form derives from the size what the segment lists.
func (s SegmentRef) form() (Form, bool) {
	for _, f := range forms {
		if s.Bytes == (Header{Form: f, Count: s.Count}).Bytes() {
			return f, true
		}
	}
	return Form{}, false
}

// Images reports whether the segment lists images: notes for writers, which servers do not read.
func (s SegmentRef) Images() bool {
	f, _ := s.form()
	return f.images
}

// Of lists the head's segments of one form.
func (h *Head) Of(f Form) (list []SegmentRef) {
	for _, s := range h.Segments {
		if have, _ := s.form(); have == f {
			list = append(list, s)
		}
	}
	return list
}

// blobs lists the segments that say what the store holds.
func (h *Head) blobs() []SegmentRef {
	list := make([]SegmentRef, 0, len(h.Segments))
	for _, s := range h.Segments {
		if !s.Images() {
			list = append(list, s)
		}
	}
	return list
}

// Encode returns the content of the head's object. The error wraps [ErrHead]: readers would refuse this head.
func (h *Head) Encode() ([]byte, error) {
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHead, err)
	}
	body, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(body, '\n'), nil
}

// bytes returns the bytes of all segments of blobs.
func (h *Head) bytes() (n int64) {
	for _, s := range h.blobs() {
		n += s.Bytes
	}
	return n
}

// records returns the records of all segments of blobs.
func (h *Head) records() (n int64) {
	for _, s := range h.blobs() {
		n += int64(s.Count)
	}
	return n
}

// content returns a fingerprint of the list of blobs' segments; 0: there is no head.
func (h *Head) content() uint64 {
	if h == nil {
		return 0
	}
	sum := fnv.New64a()
	for _, s := range h.blobs() {
		_, _ = io.WriteString(sum, s.SHA256) // a hash accepts everything
	}
	return sum.Sum64()
}

// Has reports whether the head lists the segment.
func (h *Head) Has(sha256 string) bool {
	for _, s := range h.Segments {
		if s.SHA256 == sha256 {
			return true
		}
	}
	return false
}

// Had reports whether the head lists the segment, or a recent compaction has merged it.
func (h *Head) Had(sha256 string) bool { return h.Has(sha256) || slices.Contains(h.Merged, sha256) }

// age returns how far the head's time is from now, in either direction: a clock that jumped makes an inventory
// doubtful.
func (h *Head) age(now time.Time) time.Duration { return now.Sub(h.WrittenAt).Abs() }

// IsHash reports whether s can be the name of a segment: 64 lower-case hexadecimal digits.
func IsHash(s string) bool {
	if len(s) != 64 {
		return false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' && c < 'a' || c > 'f' {
			return false
		}
	}
	return true
}
