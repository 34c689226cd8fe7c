package inventory

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ociproxy/internal/oci"
)

// Kind says what a record means. Its values are part of the format.
type Kind uint8

const (
	Blob      Kind = 1 // the store holds this content
	Tombstone Kind = 2 // the store no longer holds it, whatever earlier segments say
	Image     Kind = 3 // the store holds all blobs of this manifest's image; a note for writers, see write.Writer.Remove
)

// String names the kind in messages and exports.
func (k Kind) String() string {
	switch k {
	case Blob:
		return "blob"
	case Tombstone:
		return "tombstone"
	case Image:
		return "image"
	default:
		return fmt.Sprintf("kind %d", uint8(k))
	}
}

// MaxSize is the largest size a record can hold: five bytes. In a [Table] it stands for an unknown size: no blob is
// that large.
const MaxSize = 1<<40 - 1

// Record is one statement about one digest.
type Record struct {
	Digest oci.Digest // sha256 or sha512; of the manifest for an image
	Size   int64      // bytes; 0 for a tombstone; of the manifest for an image
	Kind   Kind
}

// Check returns why a record cannot be written; nil: it can.
func (r Record) Check() error {
	switch {
	case !r.Digest.InStores():
		return fmt.Errorf("record %q: %w", r.Digest, errAlgorithm)
	case r.Size < 0 || r.Size > MaxSize:
		return fmt.Errorf("record %s: size %d is not in 0 to %d", r.Digest, r.Size, int64(MaxSize))
	case r.Kind == Tombstone && r.Size != 0:
		return fmt.Errorf("record %s: a tombstone of size %d", r.Digest, r.Size)
	case r.Kind != Blob && r.Kind != Tombstone && r.Kind != Image:
		return fmt.Errorf("record %s: unknown %v", r.Digest, r.Kind)
	}
	return nil
}

var errAlgorithm = errors.New("neither sha256 nor sha512")

// algorithm is a digest algorithm of the format.
type algorithm uint8

const (
	sha256Digests algorithm = iota
	sha512Digests
	algorithms = 2
)

// digestLen is the length of a digest in bytes; recordLen that of a record of a blob: digest, size (5), kind (1).
func (a algorithm) digestLen() int { return 32 << a }
func (a algorithm) recordLen() int { return a.digestLen() + 6 }

// Form says what the records of one segment are: all of one algorithm, and either blobs and tombstones, or images.
// The length of a record distinguishes them, and so do the sizes in a head: a reader that only wants blobs does not
// fetch images.
type Form struct {
	alg    algorithm
	images bool
}

// forms are all forms. The order of a head's segments matters only within one form.
var forms = [...]Form{{sha256Digests, false}, {sha512Digests, false}, {sha256Digests, true}, {sha512Digests, true}}

// recordLen returns the length of a segment's record. An image's record has one byte more, which is 0.
func (f Form) recordLen() int {
	if f.images {
		return f.alg.recordLen() + 1
	}
	return f.alg.recordLen()
}

func (f Form) String() string {
	if f.images {
		return "images by " + strings.TrimSuffix(f.alg.prefix(), ":")
	}
	return "blobs by " + strings.TrimSuffix(f.alg.prefix(), ":")
}

// Images reports whether the records are of images.
func (f Form) Images() bool { return f.images }

// Forms returns all forms.
func Forms() []Form { return slices.Clone(forms[:]) }

// Form returns the form of the segments that may contain r.
func (r Record) Form() Form { return Form{algorithmOf(r.Digest), r.Kind == Image} }

func (a algorithm) prefix() string {
	if a == sha512Digests {
		return "sha512:"
	}
	return "sha256:"
}

// digest writes raw as a digest.
func (a algorithm) digest(raw []byte) oci.Digest {
	var text [7 + 128]byte
	n := copy(text[:], a.prefix())
	n += hex.Encode(text[n:], raw)
	d, err := oci.ParseDigest(string(text[:n]))
	if err != nil {
		panic("inventory: hex of raw bytes is no digest: " + err.Error())
	}
	return d
}

// algorithmOf returns the algorithm of a digest. It works only for digests that stores hold.
func algorithmOf(d oci.Digest) algorithm {
	if len(d.String()) == len("sha512:")+128 {
		return sha512Digests
	}
	return sha256Digests
}

// unhex decodes lower-case hexadecimal into dst, eight digits at a time. text has 2×len(dst) digits. The parser of
// [oci.Digest] has checked that they are digits.
func unhex(dst []byte, text string) {
	for i := 0; i+4 <= len(dst); i += 4 {
		s := text[2*i : 2*i+8]
		v := uint64(s[0])<<56 | uint64(s[1])<<48 | uint64(s[2])<<40 | uint64(s[3])<<32 |
			uint64(s[4])<<24 | uint64(s[5])<<16 | uint64(s[6])<<8 | uint64(s[7])
		v = v&0x0f0f0f0f0f0f0f0f + v>>6&0x0101010101010101*9 // '0'–'9' end in their value, 'a'–'f' in value-9
		v = (v | v>>4) & 0x00ff00ff00ff00ff
		v = (v | v>>8) & 0x0000ffff0000ffff
		binary.BigEndian.PutUint32(dst[i:], uint32(v|v>>16))
	}
}

func putSize(b []byte, size int64) {
	b[0] = byte(size >> 32)
	binary.BigEndian.PutUint32(b[1:], uint32(size))
}

func getSize(b []byte) int64 {
	return int64(b[0])<<32 | int64(binary.BigEndian.Uint32(b[1:]))
}
