package write

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"slices"
	"strings"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/inventory"
)

// spool is a segment on its way to a bucket: in memory while it is small, then in a temporary file.
type spool struct {
	dir    string
	memory []byte   // until file is made; starts with room for the header
	file   *os.File // nil: everything is in memory
	w      *bufio.Writer
	header inventory.Header
	ref    inventory.SegmentRef // after seal
}

// spoolMemory is how large a spool may grow in memory: the changes of one pass mostly fit.
const spoolMemory = 1 << 20

// blockLen is how many bytes are written to a file at once.
const blockLen = 64 << 10

// newSpool makes an empty spool. dir is for its file; "" is the system's directory for temporary files.
func newSpool(dir string, f inventory.Form) *spool {
	return &spool{dir: dir, memory: make([]byte, inventory.HeaderLen), header: inventory.Header{Form: f}}
}

// add appends a record as a segment stores it. The caller is responsible for the order.
func (s *spool) add(record []byte) error {
	s.header.Count++
	if s.file == nil && len(s.memory)+len(record) <= spoolMemory {
		s.memory = append(s.memory, record...)
		return nil
	}
	if s.file == nil {
		f, err := atomicfile.Scratch(s.dir, "segment")
		if err != nil {
			return err
		}
		s.file, s.w = f, bufio.NewWriterSize(f, blockLen)
		if _, err := s.w.Write(s.memory); err != nil {
			return err
		}
		s.memory = nil
	}
	_, err := s.w.Write(record)
	return err
}

// seal writes the header and names the segment. It may be called again with another nonce.
func (s *spool) seal(nonce uint32) error {
	if err := s.header.Check(); err != nil {
		return err
	}
	s.header.Nonce = nonce
	header := s.header.Append(nil)
	if s.file == nil {
		copy(s.memory, header)
	} else {
		if err := s.w.Flush(); err != nil {
			return err
		}
		if _, err := s.file.WriteAt(header, 0); err != nil {
			return err
		}
	}
	h := sha256.New()
	n, err := io.Copy(h, s.body())
	if err != nil {
		return err
	}
	s.ref = inventory.SegmentRef{SHA256: hex.EncodeToString(h.Sum(nil)), Count: s.header.Count, Bytes: n}
	return nil
}

func (s *spool) body() io.ReadSeeker {
	if s.file == nil {
		return bytes.NewReader(s.memory)
	}
	return io.NewSectionReader(s.file, 0, s.header.Bytes())
}

// object returns the object to put into a bucket.
func (s *spool) object() Object {
	return Object{
		Body: s.body(), Size: s.ref.Bytes, SHA256: s.ref.SHA256,
		ContentType: "application/octet-stream", CacheControl: "public, max-age=31536000, immutable, no-transform",
	}
}

func (s *spool) close() {
	if s.file != nil {
		atomicfile.CloseScratch(s.file)
	}
}

// spoolRecords makes one sorted spool for each form in records. Of several records of one digest it keeps the last.
func spoolRecords(dir string, records []inventory.Record) (spools []*spool, err error) {
	defer func() {
		if err != nil {
			closeSpools(spools)
			spools = nil
		}
	}()
	sorted := make([]inventory.Record, 0, len(records))
	for _, r := range records {
		if err := r.Check(); err != nil {
			return nil, err
		}
		sorted = append(sorted, r)
	}
	slices.SortStableFunc(sorted, compareRecords)
	var line []byte
	for i, r := range sorted {
		f := r.Form()
		if i+1 < len(sorted) && sorted[i+1].Digest == r.Digest && sorted[i+1].Form() == f {
			continue
		}
		if len(spools) == 0 || spools[len(spools)-1].header.Form != f {
			spools = append(spools, newSpool(dir, f))
		}
		line = inventory.AppendRecord(line[:0], r)
		if err := spools[len(spools)-1].add(line); err != nil {
			return spools, err
		}
	}
	return spools, nil
}

func closeSpools(spools []*spool) {
	for _, s := range spools {
		s.close()
	}
}

// compareRecords orders by form, then by digest. The text of a digest begins with its algorithm.
func compareRecords(a, b inventory.Record) int {
	if x, y := a.Kind == inventory.Image, b.Kind == inventory.Image; x != y {
		if y {
			return -1
		}
		return 1
	}
	return strings.Compare(a.Digest.String(), b.Digest.String())
}
