package accesslog

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxWindow is how much of the output a zst file may refer back to, in bytes: what zstd --long uses. It bounds memory.
const maxWindow = 128 << 20

// ReadFile reads the log in a file, or in stdin for "-", as [Reader.Read] does. It expands gzip and Zstandard, which it
// knows by their first bytes and not by the file's name.
func (r *Reader) ReadFile(ctx context.Context, file string, stdin io.Reader, each func(*Record) error) error {
	in, name := stdin, "stdin"
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // opened for reading only
		if info, err := f.Stat(); err == nil && info.IsDir() {
			return fmt.Errorf("read %s: %w", file, syscall.EISDIR)
		}
		in, name = f, file
	}
	plain, done, err := Expand(&counted{in, &r.stats.Bytes}, maxWindow)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	defer done()
	return r.Read(ctx, name, plain, each)
}

var (
	gzipMagic = []byte{0x1f, 0x8b}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

// Expand returns the content of in, expanded if it is compressed with gzip or Zstandard, as its first bytes say. Data of
// Zstandard may refer back to at most window bytes of the output, which are kept in memory. Call done at the end.
func Expand(in io.Reader, window uint64) (plain io.Reader, done func(), err error) {
	buf := bufio.NewReaderSize(in, 64<<10)
	head, _ := buf.Peek(len(zstdMagic)) // a shorter file is not compressed; an error comes again with the first read
	switch {
	case bytes.HasPrefix(head, gzipMagic):
		z, err := gzip.NewReader(buf)
		if err != nil {
			return nil, nil, err
		}
		return z, func() { _ = z.Close() }, nil // the end of the stream was checked, or the reading stopped before
	case bytes.HasPrefix(head, zstdMagic):
		z, err := zstd.NewReader(buf, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return buf, func() {}, nil
}

// counted adds what is read to n.
type counted struct {
	in io.Reader
	n  *int64
}

// Read implements [io.Reader].
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	*c.n += int64(n)
	return n, err
}
