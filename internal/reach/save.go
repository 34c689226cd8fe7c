package reach

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// What the table learned survives a restart where there is a disk. A saved file is useful on this machine only: it
// holds addresses as keyed hashes, with the key.
const saveMagic = "oci-proxy client paths 2\n"

// saved is one line on disk, in big-endian order.
type saved struct {
	Set          uint16
	Tag          uint32
	Used, Until  uint32
	Since        uint32
	Avoid        uint16
	State, Level uint8
	Worked       uint32
	Second       uint8
	Proofs       uint8
}

var savedSize = binary.Size(saved{})

// ErrSaved is wrapped by the error for a file that is damaged or not a file of client paths.
var ErrSaved = errors.New("not a file of client paths, or a damaged one")

// Save writes to w what the table learned about addresses. The error is w's.
func (t *Table) Save(w io.Writer) error {
	sum := crc32.NewIEEE()
	out := io.MultiWriter(w, sum)
	if _, err := io.WriteString(out, saveMagic); err != nil {
		return err
	}
	if err := binary.Write(out, binary.BigEndian, t.secret); err != nil {
		return err
	}
	for set := range sets {
		// This is a copy, so that no request waits for a disk.
		if _, err := out.Write(t.learnt(set)); err != nil {
			return err
		}
	}
	return binary.Write(w, binary.BigEndian, sum.Sum32())
}

// learnt encodes the lines of a set about which anything is known.
func (t *Table) learnt(set int) []byte {
	lock := &t.locks[set%locks]
	lock.Lock()
	defer lock.Unlock()
	var b bytes.Buffer
	now := t.unix()
	for i := set * ways; i < (set+1)*ways; i++ {
		l := &t.lines[i]
		if t.tags[i] == 0 || l.state == open || l.until <= now {
			continue
		}
		s := saved{
			Set: uint16(set), Tag: t.tags[i], Used: l.used, Until: l.until, Since: l.since, Avoid: l.avoid,
			State: uint8(l.state), Level: uint8(l.level), Worked: l.worked, Proofs: l.proofs,
		}
		if l.second {
			s.Second = 1
		}
		_ = binary.Write(&b, binary.BigEndian, s) // a buffer accepts everything
	}
	return b.Bytes()
}

// Load replaces an unused table by what [Table.Save] wrote. The error wraps [ErrSaved], or is r's; then the table is
// empty.
func (t *Table) Load(r io.Reader) error {
	most := len(saveMagic) + 16 + lines*savedSize + 4
	data, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	if err != nil {
		return err
	}
	body := len(data) - len(saveMagic) - 16 - 4
	if len(data) > most || body < 0 || body%savedSize != 0 || !bytes.HasPrefix(data, []byte(saveMagic)) {
		return fmt.Errorf("%w: %d bytes", ErrSaved, len(data))
	}
	end := len(data) - 4
	if crc32.ChecksumIEEE(data[:end]) != binary.BigEndian.Uint32(data[end:]) {
		return fmt.Errorf("%w: the checksum does not match", ErrSaved)
	}
	next := New()
	next.now = t.now
	rest := data[len(saveMagic):end]
	for i := range next.secret {
		next.secret[i] = binary.BigEndian.Uint64(rest[8*i:])
	}
	now := t.unix()
	for rest = rest[16:]; len(rest) > 0; rest = rest[savedSize:] {
		var s saved
		if _, err := binary.Decode(rest, binary.BigEndian, &s); err != nil {
			return fmt.Errorf("%w: %w", ErrSaved, err)
		}
		if err := next.restore(&s, now); err != nil {
			return err
		}
	}
	t.secret, t.tags, t.lines = next.secret, next.tags, next.lines
	return nil
}

// restore puts one line back. It no longer knows anything about the image that was being pulled.
func (t *Table) restore(s *saved, now uint32) error {
	if s.Set >= sets || s.Tag == 0 || s.State == uint8(open) || s.State > uint8(settled) || s.Level > uint8(Upstream) ||
		s.Proofs > maxProofs || s.Second > 1 {
		return fmt.Errorf("%w: a line that cannot be", ErrSaved)
	}
	if s.Until <= now || s.Until-now > verdict || s.Used > now || s.Since > now {
		return nil // expired, or from another clock
	}
	l := t.line(&where{sets: [2]int{int(s.Set), int(s.Set)}, tag: s.Tag}, now)
	*l = line{
		used: s.Used, until: s.Until, since: s.Since, avoid: s.Avoid, state: state(s.State), level: Level(s.Level),
		worked: s.Worked, second: s.Second == 1, proofs: s.Proofs,
	}
	return nil
}
