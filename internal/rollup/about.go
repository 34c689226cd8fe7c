package rollup

import (
	"context"
	"fmt"
	"io"

	"ociproxy/internal/parquetfile"
	"ociproxy/internal/store"
)

// tailSize is how much of the end of an object is read at first for its metadata.
const tailSize = 64 << 10

// About reads the metadata of a roll-up in a bucket, without its rows. size is what a list said. The error wraps
// [store.ErrNotFound] when there is none. The attributes are of what was read.
func About(ctx context.Context, b store.Bucket, key string, size int64, kind Kind) (*Meta, store.Attrs, error) {
	for want := int64(tailSize); ; want *= 16 {
		off := max(0, size-want)
		body, at, err := b.Get(ctx, key, off, -1)
		if err != nil {
			return nil, at, fmt.Errorf("read %s of %s: %w", key, b, err)
		}
		if at.Size != size { // it was replaced since
			_ = body.Close() // only read
			size = at.Size
			want /= 16
			continue
		}
		end, err := io.ReadAll(io.LimitReader(body, parquetfile.MaxFooter+1))
		_ = body.Close() // only read
		if err == nil && int64(len(end)) != size-off {
			err = io.ErrUnexpectedEOF
		}
		var m *Meta
		if err == nil {
			m, err = metaAt(&tail{off, end}, size, kind)
		}
		if err == nil {
			return m, at, nil
		}
		if off == 0 || want > parquetfile.MaxFooter {
			return nil, at, fmt.Errorf("read %s of %s: %w", key, b, err)
		}
	}
}

func metaAt(in io.ReaderAt, size int64, kind Kind) (*Meta, error) {
	open := open[fileRow]
	if kind == Objects {
		open = openObjects
	}
	o, err := open(in, size, kind)
	if err != nil {
		return nil, err
	}
	return o.meta, nil
}

func openObjects(in io.ReaderAt, size int64, kind Kind) (*opened, error) {
	return open[fileObject](in, size, kind)
}

// tail is the end of a file. Its magic number at the beginning is taken for granted.
type tail struct {
	off int64
	end []byte
}

// ReadAt implements [io.ReaderAt].
func (t *tail) ReadAt(p []byte, off int64) (int, error) {
	if off == 0 && len(p) == 4 {
		return copy(p, "PAR1"), nil
	}
	if off < t.off || off+int64(len(p)) > t.off+int64(len(t.end)) {
		return 0, fmt.Errorf("the footer is larger than %d bytes: %w", len(t.end), io.ErrUnexpectedEOF)
	}
	return copy(p, t.end[off-t.off:]), nil
}
