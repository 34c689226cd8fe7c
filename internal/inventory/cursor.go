package inventory

import (
	"encoding/binary"
	"errors"
	"io"
)

// cursorBuffer is how many bytes of a segment are in memory at once.
const cursorBuffer = 32 << 10

// cursor walks through ascending records of one length: those of a segment, checked one by one, or those of a table.
type cursor struct {
	Form
	rec  []byte // the current record; valid until the next advance
	key  uint64 // the first eight bytes of its digest
	done bool   // past the last record

	width  int
	buf    []byte
	pos    int       // offset of rec in buf
	r      io.Reader // nil: everything is in buf
	left   uint64    // records not yet read into buf
	count  uint64
	number int     // number of the current record
	source *source // whose records these are; for a merge
}

// openCursor reads a segment's header and first record. size is the length of its buffer, 0 the default.
func openCursor(r io.Reader, size int) (*cursor, error) {
	var head [HeaderLen]byte
	if n, err := io.ReadFull(r, head[:]); err != nil && !short(err) {
		return nil, err
	} else if err != nil {
		return nil, bad("it ends after %d bytes", n)
	}
	h, err := parseHeader(head[:])
	if err != nil {
		return nil, err
	}
	if size == 0 {
		size = cursorBuffer
	}
	c := &cursor{Form: h.Form, width: h.recordLen(), r: r, left: h.Count, count: h.Count, number: -1}
	// Room for one more record: the current one, which stays in the buffer.
	room := min(uint64(size/c.width), h.Count) + 1
	c.buf = make([]byte, 0, int(room)*c.width)
	if err := c.advance(); err != nil {
		return nil, err
	}
	return c, nil
}

// tableCursor walks through a table's records. ok is false when there are none.
func tableCursor(p *part) (c *cursor, ok bool) {
	if p == nil || p.n == 0 {
		return nil, false
	}
	c = &cursor{Form: Form{alg: p.alg}, width: p.alg.entryLen(), buf: p.records, count: uint64(p.n)}
	c.set(0)
	return c, true
}

// kind returns the kind of the current record.
func (c *cursor) kind() Kind { return Kind(c.rec[c.alg.digestLen()+5]) }

func (c *cursor) set(pos int) {
	c.pos = pos
	c.rec = c.buf[pos : pos+c.width]
	c.key = binary.BigEndian.Uint64(c.rec)
}

// advance goes to the next record. After the last one it sets done.
func (c *cursor) advance() error {
	c.number++
	next := c.pos + c.width
	if c.rec == nil {
		next = 0
	}
	if next == len(c.buf) {
		if c.left == 0 {
			return c.finish()
		}
		if err := c.fill(); err != nil {
			return err
		}
		if next = c.width; c.rec == nil {
			next = 0
		}
	}
	if c.r == nil {
		c.set(next)
		return nil
	}
	before, key := c.rec, c.key
	c.set(next)
	if before != nil && (c.key < key || c.key == key && !below(before[:c.alg.digestLen()], c.rec[:c.alg.digestLen()])) {
		return bad("record %d: not above the one before it", c.number)
	}
	if err := checkRecord(c.rec[c.alg.digestLen():], c.images); err != nil {
		return bad("record %d: %w", c.number, err)
	}
	return nil
}

// fill refills the buffer. The current record stays, as the first.
func (c *cursor) fill() error {
	keep := 0
	if c.rec != nil {
		keep = copy(c.buf[:c.width], c.rec)
		c.pos, c.rec = 0, c.buf[:c.width]
	}
	n := min(uint64((cap(c.buf)-keep)/c.width), c.left)
	c.buf = c.buf[:keep+int(n)*c.width]
	if got, err := io.ReadFull(c.r, c.buf[keep:]); err != nil && !short(err) {
		return err
	} else if err != nil {
		return bad("it ends in record %d of %d", c.number+got/c.width, c.count)
	}
	c.left -= n
	return nil
}

// finish checks that nothing follows the last record.
func (c *cursor) finish() error {
	c.done = true
	if c.r == nil {
		return nil
	}
	var one [1]byte
	n, err := io.ReadFull(c.r, one[:])
	if n > 0 {
		return bad("something follows the last record")
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func short(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
