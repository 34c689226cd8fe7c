package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/inventory"
	"ociproxy/internal/oci"
	"ociproxy/internal/store"
)

// origin opens a blob's bytes at an offset.
type origin func(ctx context.Context, off int64) (io.ReadCloser, error)

// spool is one blob in a file, complete and with the right digest. The zero value with a directory is empty.
type spool struct {
	dir      string
	progress *Progress

	file   *os.File
	size   int64
	sha256 string
	crc    uint32
}

// errDigest means that bytes do not have the expected digest.
var errDigest = errors.New("the bytes do not have the digest")

// maxOriginErrors is how many errors of origins are reported. There may be many origins.
const maxOriginErrors = 5

// fill reads the blob from the first origin that has it complete. A negative size is not known. A filled spool stays
// filled.
func (s *spool) fill(ctx context.Context, d oci.Digest, size int64, from []origin) error {
	if s.file != nil {
		return nil
	}
	var errs []error
	for _, o := range from {
		err := s.read(ctx, d, size, o)
		if err == nil {
			return nil
		}
		if len(errs) < maxOriginErrors {
			errs = append(errs, err)
		}
		s.close()
		if ctx.Err() != nil {
			break
		}
	}
	return fmt.Errorf("nowhere to take it from: %w", errors.Join(errs...))
}

// read reads from one origin. If the body breaks off, it continues there.
func (s *spool) read(ctx context.Context, d oci.Digest, size int64, from origin) (err error) {
	if s.file, err = atomicfile.Scratch(s.dir, "repair"); err != nil {
		return err
	}
	if size < 0 {
		size = inventory.MaxSize
	}
	sum, whole, crc := d.Hash(), sha256.New(), crc32.New(crc32.MakeTable(crc32.Castagnoli))
	s.size = 0
	for range readAttempts {
		var body io.ReadCloser
		if body, err = from(ctx, s.size); err != nil {
			if ctx.Err() != nil || errors.Is(err, store.ErrNotFound) {
				return err
			}
			continue
		}
		var n int64
		n, err = io.Copy(io.MultiWriter(s.file, sum, whole, crc, counter{s.progress}), io.LimitReader(body, size-s.size+1))
		s.size += n
		if err = errors.Join(err, body.Close()); err == nil {
			break
		}
	}
	if err != nil {
		return err
	}
	if !d.Matches(sum) {
		return errDigest
	}
	s.sha256, s.crc = hex.EncodeToString(whole.Sum(nil)), crc.Sum32()
	return nil
}

func (s *spool) content() store.Content { return store.FromFile(s.file, s.size, s.sha256, s.crc) }

// close discards the file.
func (s *spool) close() {
	if s.file != nil {
		atomicfile.CloseScratch(s.file)
		s.file = nil
	}
}
