package transfer

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"ociproxy/internal/store"
)

// castagnoli is the polynomial of CRC32C.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// buffers for reading; bounded by the downloads and the workers that run.
var buffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}

// existing compares what lies under the blob's key in the target. Right: how it came there. Nothing, or something wrong: bytes are
// needed, and the version of what is wrong.
//
// A SHA-256 that the store computed over the whole object is believed; it is what the store would be asked to check anyway. So is
// its CRC32C when crc is given: the object was then just made by the provider's own copy from one that was verified, so that
// nobody else chose its bytes and only accidents are to be found, which 32 bits over the whole object do. In all other cases the
// object is read back.
//
// Right bytes are not enough: an object with an encoding, in an archive, or that strangers may not read, is as wrong as one of other
// bytes.
func (j *job) existing(how How, crc *uint32) outcome {
	j.t.requests.Add(1)
	a, err := j.t.Bucket.Head(j.ctx, j.f.key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return outcome{bytes: true}
	case err != nil:
		return outcome{err: fmt.Errorf("head %s: %w", j.t.Name, err)}
	case a.Size != j.f.blob.Size || a.Altered() != "":
		return outcome{bytes: true, version: a.Version}
	case a.SHA256 != "" && j.f.sha256 != "":
		if a.SHA256 != j.f.sha256 {
			return outcome{bytes: true, version: a.Version}
		}
		return j.shown(how, a)
	case crc != nil && a.CRC32C != nil:
		if *crc != *a.CRC32C {
			return outcome{bytes: true, version: a.Version}
		}
		return j.shown(how, a)
	}
	return j.readBack(how)
}

// shown ends existing for bytes that are right: does a stranger get them? What was written here is like all that was written before.
func (j *job) shown(how How, a store.Attrs) outcome {
	if how == AlreadyThere && j.t.Look != nil {
		j.t.requests.Add(1)
		err := j.t.Look(j.ctx, j.f.blob.Digest, a.Size)
		switch {
		case errors.Is(err, store.ErrHidden) && !errors.Is(err, ErrVain):
			return outcome{bytes: true, version: a.Version}
		case err != nil:
			return outcome{err: fmt.Errorf("look at %s as a stranger: %w", j.t.Name, err)}
		}
	}
	return outcome{how: how, attrs: a}
}

// readBack reads the object in the target and compares it.
func (j *job) readBack(how How) outcome {
	j.t.requests.Add(1)
	body, a, err := j.t.Bucket.Get(j.ctx, j.f.key, 0, -1)
	if errors.Is(err, store.ErrNotFound) {
		return outcome{bytes: true}
	}
	if err != nil {
		return outcome{err: fmt.Errorf("get %s: %w", j.t.Name, err)}
	}
	defer body.Close()
	if a.Size != j.f.blob.Size {
		return outcome{bytes: true, version: a.Version}
	}
	h := j.f.blob.Digest.Hash()
	buf := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buf)
	for {
		n, err := body.Read(buf[:])
		h.Write(buf[:n])
		j.t.readBack.Add(int64(n))
		j.pulse.sent(0)
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = j.ctx.Err()
		}
		if err != nil {
			return outcome{err: fmt.Errorf("read back %s: %w", j.t.Name, err)}
		}
	}
	if !j.f.blob.Digest.Matches(h) {
		return outcome{bytes: true, version: a.Version}
	}
	return j.shown(how, a)
}
