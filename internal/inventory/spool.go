package inventory

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"slices"
)

// spool is a segment on its way to a bucket: a temporary file, so that its size does not matter.
type spool struct {
	file   *os.File
	w      *bufio.Writer
	header segmentHeader
	ref    SegmentRef // after seal
}

// newSpool makes an empty one in dir; "" is the system's directory for such files.
func newSpool(dir string, alg algorithm) (*spool, error) {
	f, err := os.CreateTemp(dir, "segment-*")
	if err != nil {
		return nil, err
	}
	s := &spool{file: f, w: bufio.NewWriterSize(f, blockLen), header: segmentHeader{alg: alg}}
	if _, err := s.w.Write(make([]byte, headerLen)); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// add appends a record as a segment writes it. The caller sees to their order.
func (s *spool) add(record []byte) error {
	s.header.count++
	_, err := s.w.Write(record)
	return err
}

// seal writes the header and names the segment. It may be called again with another nonce.
func (s *spool) seal(nonce uint32) error {
	if s.header.count > maxCount || s.header.bytes() > MaxSegmentBytes {
		return bad("%d records are too many", s.header.count)
	}
	s.header.nonce = nonce
	if err := s.w.Flush(); err != nil {
		return err
	}
	if _, err := s.file.WriteAt(s.header.append(nil), 0); err != nil {
		return err
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	h := sha256.New()
	n, err := io.Copy(h, s.file)
	if err != nil {
		return err
	}
	s.ref = SegmentRef{SHA256: hex.EncodeToString(h.Sum(nil)), Count: s.header.count, Bytes: n}
	return nil
}

// object is what to put into a bucket.
func (s *spool) object() (Object, error) {
	_, err := s.file.Seek(0, io.SeekStart)
	return Object{
		Body: s.file, Size: s.ref.Bytes, SHA256: s.ref.SHA256,
		ContentType: "application/octet-stream", CacheControl: "public, max-age=31536000, immutable, no-transform",
	}, err
}

func (s *spool) close() error {
	return errors.Join(s.file.Close(), os.Remove(s.file.Name()))
}

// spoolRecords makes one spool for each algorithm that records has: sorted, and of several records of one digest the last.
func spoolRecords(dir string, records []Record) (spools []*spool, err error) {
	defer func() {
		if err != nil {
			closeSpools(spools)
			spools = nil
		}
	}()
	sorted := make([]Record, 0, len(records))
	for _, r := range records {
		if err := r.check(); err != nil {
			return nil, err
		}
		sorted = append(sorted, r)
	}
	slices.SortStableFunc(sorted, compareRecords)
	var line []byte
	for i, r := range sorted {
		if i+1 < len(sorted) && sorted[i+1].Digest == r.Digest {
			continue
		}
		alg := algorithmOf(r.Digest)
		if len(spools) == 0 || spools[len(spools)-1].header.alg != alg {
			s, err := newSpool(dir, alg)
			if err != nil {
				return spools, err
			}
			spools = append(spools, s)
		}
		line = appendRecord(line[:0], r)
		if err := spools[len(spools)-1].add(line); err != nil {
			return spools, err
		}
	}
	return spools, nil
}

func closeSpools(spools []*spool) {
	for _, s := range spools {
		_ = s.close() // temporary
	}
}

// compareRecords orders by algorithm, then digest: the text of a digest orders both.
func compareRecords(a, b Record) int {
	switch x, y := a.Digest.String(), b.Digest.String(); {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}
