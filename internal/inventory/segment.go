package inventory

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
)

// A segment is a header and records. All numbers are big endian.
//
//	header: magic (8) · version (2) · record length (2) · nonce (4) · count (8)
//	record: digest (32 or 64) · size (5) · kind (1); of an image one byte more, 0; digests strictly ascending
//
// The record length says what the records are: 38 blobs and tombstones by sha256, 70 by sha512, 39 and 71 images. The
// nonce has no meaning; a writer changes it when it needs the same records under another name. Nothing follows the
// last record.
const (
	segmentMagic   = "ocipinv\n"
	segmentVersion = 1
)

// HeaderLen is the length of a segment's header in bytes.
const HeaderLen = 24

// Header is what precedes the records of a segment.
type Header struct {
	Form
	Nonce uint32 // chosen by the writer
	Count uint64 // of records
}

// Append appends the header as a segment writes it.
func (h Header) Append(b []byte) []byte {
	b = append(b, segmentMagic...)
	b = binary.BigEndian.AppendUint16(b, segmentVersion)
	b = binary.BigEndian.AppendUint16(b, uint16(h.recordLen()))
	b = binary.BigEndian.AppendUint32(b, h.Nonce)
	return binary.BigEndian.AppendUint64(b, h.Count)
}

// Bytes returns the length of the complete segment.
func (h Header) Bytes() int64 { return HeaderLen + int64(h.Count)*int64(h.recordLen()) }

// ErrSegment is wrapped by every error about the content of a segment.
var ErrSegment = errors.New("bad segment")

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrSegment, fmt.Errorf(format, args...))
}

// Check returns why there can be no such segment; nil: there can.
func (h Header) Check() error {
	if h.Count > maxCount || h.Bytes() > MaxSegmentBytes {
		return bad("%d records are too many", h.Count)
	}
	return nil
}

func parseHeader(b []byte) (Header, error) {
	var h Header
	if len(b) < HeaderLen {
		return h, bad("%d bytes are no header", len(b))
	}
	if string(b[:8]) != segmentMagic {
		return h, bad("magic %q", b[:8])
	}
	if v := binary.BigEndian.Uint16(b[8:]); v != segmentVersion {
		return h, bad("version %d, this program reads version %d", v, segmentVersion)
	}
	n := int(binary.BigEndian.Uint16(b[10:]))
	i := slices.IndexFunc(forms[:], func(f Form) bool { return f.recordLen() == n })
	if i < 0 {
		return h, bad("records of %d bytes", n)
	}
	h.Form = forms[i]
	h.Nonce = binary.BigEndian.Uint32(b[12:])
	h.Count = binary.BigEndian.Uint64(b[16:])
	if h.Count == 0 {
		return h, bad("no records")
	}
	if h.Count > maxCount {
		return h, bad("%d records, more than %d", h.Count, maxCount)
	}
	return h, nil
}

// checkRecord returns what is wrong with the bytes after a record's digest: size and kind, and the last byte of an
// image.
func checkRecord(tail []byte, images bool) error {
	switch k := Kind(tail[5]); {
	case images:
		if k != Image || tail[6] != 0 {
			return bad("%v, %d among images", k, tail[6])
		}
		return nil
	case k == Blob:
		return nil
	case k != Tombstone:
		return bad("unknown %v", k)
	case getSize(tail) != 0:
		return bad("a tombstone of size %d", getSize(tail))
	}
	return nil
}

// AppendRecord appends r, which must have been checked, as a segment stores it. The caller makes sure that all
// records of a segment are of one form, and their digests ascending.
func AppendRecord(b []byte, r Record) []byte {
	n := algorithmOf(r.Digest).digestLen()
	var raw [64 + 7]byte
	unhex(raw[:n], r.Digest.Hex())
	putSize(raw[n:], r.Size)
	raw[n+5] = byte(r.Kind)
	return append(b, raw[:r.Form().recordLen()]...)
}

// Records reads a segment and checks everything; the records of a segment are all of one algorithm, and all images or
// none. The last pair may be an error, which wraps [ErrSegment] or is the reader's own. Then do not use what came
// before it.
func Records(r io.Reader) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		c, err := openCursor(r, 0)
		for err == nil && !c.done {
			n := c.alg.digestLen()
			rec := Record{Digest: c.alg.digest(c.rec[:n]), Size: getSize(c.rec[n:]), Kind: Kind(c.rec[n+5])}
			if !yield(rec, nil) {
				return
			}
			err = c.advance()
		}
		if err != nil {
			yield(Record{}, err)
		}
	}
}

// Verify reads a segment to its end and checks that it is the one that ref names. The error wraps [ErrSegment] or is
// the reader's own.
func Verify(r io.Reader, ref SegmentRef) error {
	h := sha256.New()
	c, err := openCursor(io.TeeReader(r, h), 0)
	for err == nil && !c.done {
		err = c.advance()
	}
	if err != nil {
		return err
	}
	if c.count != ref.Count {
		return bad("%d records, the head says %d", c.count, ref.Count)
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != ref.SHA256 {
		return bad("its hash is %s", sum)
	}
	return nil
}

// below reports whether digest a comes before b. Both have the same length.
func below(a, b []byte) bool { return bytes.Compare(a, b) < 0 }
