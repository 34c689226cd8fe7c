package rollup

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"io"
	"math"
	"slices"
)

// print is the fingerprint of one counted line: what is needed to notice a second copy, and to take it away again.
type print struct {
	id            uint64 // hash of the request's id and the store
	bytes, count  float64
	at            uint32 // seconds since 1970; 0: not known
	group, object uint32 // ids of groups
}

func comparePrints(a, b *print) int {
	switch {
	case a.id != b.id:
		return cmp.Compare(a.id, b.id)
	case a.at != b.at:
		return cmp.Compare(a.at, b.at)
	}
	// Copies that are not the same, because one was cut off: the larger counts, whatever the order of reading.
	return cmp.Or(cmp.Compare(b.bytes, a.bytes), cmp.Compare(b.count, a.count))
}

func appendPrint(to []byte, p *print) []byte {
	to = binary.LittleEndian.AppendUint64(to, p.id)
	to = binary.LittleEndian.AppendUint64(to, math.Float64bits(p.bytes))
	to = binary.LittleEndian.AppendUint64(to, math.Float64bits(p.count))
	to = binary.LittleEndian.AppendUint32(to, p.at)
	to = binary.LittleEndian.AppendUint32(to, p.group)
	return binary.LittleEndian.AppendUint32(to, p.object)
}

// printSize is how many bytes a fingerprint takes on disk.
const printSize = 36

// printCost is how many bytes a fingerprint takes in memory.
const printCost = 40

func parsePrint(in *bufio.Reader, p *print) error {
	var raw [printSize]byte
	if _, err := io.ReadFull(in, raw[:]); err != nil {
		return err
	}
	p.id = binary.LittleEndian.Uint64(raw[:])
	p.bytes = math.Float64frombits(binary.LittleEndian.Uint64(raw[8:]))
	p.count = math.Float64frombits(binary.LittleEndian.Uint64(raw[16:]))
	p.at = binary.LittleEndian.Uint32(raw[24:])
	p.group = binary.LittleEndian.Uint32(raw[28:])
	p.object = binary.LittleEndian.Uint32(raw[32:])
	return nil
}

// prints are the fingerprints of one goroutine: in memory, and spilled in sorted runs.
type prints struct {
	spool *spool[print]
	limit int // records in memory before a spill
	now   []print
}

func newPrints(dir string, limit int64, fan int) *prints {
	return &prints{limit: int(max(1024, limit/printCost)),
		spool: &spool[print]{dir: dir, fan: fan, append: appendPrint, parse: parsePrint, compare: comparePrints}}
}

func (p *prints) add(one print) error {
	if len(p.now) >= p.limit {
		if err := p.spill(); err != nil {
			return err
		}
	}
	p.now = append(p.now, one)
	return nil
}

func (p *prints) sort() {
	slices.SortFunc(p.now, func(a, b print) int { return comparePrints(&a, &b) })
}

func (p *prints) spill() error {
	p.sort()
	i := 0
	err := p.spool.write(func(to *print) bool {
		if i == len(p.now) {
			return false
		}
		*to = p.now[i]
		i++
		return true
	})
	p.now = p.now[:0]
	return err
}

// cursors returns cursors over all fingerprints. Sort them before.
func (p *prints) cursors() []cursor[print] {
	i := 0
	return append(p.spool.cursors(), cursor[print]{next: func(to *print) error {
		if i == len(p.now) {
			return io.EOF
		}
		*to = p.now[i]
		i++
		return nil
	}})
}
