package rollup

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"sync"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/place"
	"ociproxy/internal/traffic"
)

// sums are what is added up for a group.
type sums struct {
	requests, bytes, squares float64
	lines                    int64
}

func (s *sums) add(o *sums) {
	s.requests += o.requests
	s.bytes += o.bytes
	s.squares += o.squares
	s.lines += o.lines
}

func (s *sums) subtract(o *sums) {
	s.requests -= o.requests
	s.bytes -= o.bytes
	s.squares -= o.squares
	s.lines -= o.lines
}

// group is the sums of one key. The bytes of keys sort as [Compare] sorts rows.
type group struct {
	key []byte
	sums
}

func compareGroups(a, b *group) int { return bytes.Compare(a.key, b.key) }

func appendGroup(to []byte, g *group) []byte {
	to = append(binary.AppendUvarint(to, uint64(len(g.key))), g.key...)
	for _, v := range []float64{g.requests, g.bytes, g.squares} {
		to = binary.LittleEndian.AppendUint64(to, math.Float64bits(v))
	}
	return binary.AppendVarint(to, g.lines)
}

func parseGroup(in *bufio.Reader, g *group) error {
	n, err := binary.ReadUvarint(in)
	if err != nil {
		return err
	}
	g.key = slices.Grow(g.key[:0], int(n))[:n]
	if _, err := io.ReadFull(in, g.key); err != nil {
		return err
	}
	var raw [24]byte
	if _, err := io.ReadFull(in, raw[:]); err != nil {
		return err
	}
	for i, v := range []*float64{&g.requests, &g.bytes, &g.squares} {
		*v = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
	}
	g.lines, err = binary.ReadVarint(in)
	return err
}

// idBlock is how many ids of groups a table takes at once.
const idBlock = 4096

// noGroup is the id of no group.
const noGroup = math.MaxUint32

// ids numbers the groups of all tables, and finds their keys again when they were spilled.
type ids struct {
	mu     sync.Mutex
	blocks []block
}

// block is where the groups of idBlock ids are.
type block struct {
	of    *generation
	first int // of the block, in the generation
}

// generation is what a table held between two spills. It has no keys in memory after its spill.
type generation struct {
	sums    []sums   // until the spill
	file    *os.File // keys, after the spill
	offsets int64    // in the file, of the offsets of the keys
}

func (d *ids) lease(g *generation, first int) (uint32, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.blocks) >= noGroup/idBlock {
		return 0, errors.New("more than 4 milliard groups: roll up fewer logs at once")
	}
	d.blocks = append(d.blocks, block{g, first})
	return uint32(len(d.blocks)-1) * idBlock, nil
}

func (d *ids) find(id uint32) (*generation, int) {
	b := d.blocks[id/idBlock]
	return b.of, b.first + int(id%idBlock)
}

// key reads the key of a group that was spilled.
func (g *generation) key(i int) ([]byte, error) {
	var at [16]byte
	if _, err := g.file.ReadAt(at[:], g.offsets+8*int64(i)); err != nil {
		return nil, err
	}
	begin, end := binary.LittleEndian.Uint64(at[:8]), binary.LittleEndian.Uint64(at[8:])
	key := make([]byte, end-begin)
	_, err := g.file.ReadAt(key, int64(begin))
	return key, err
}

// table is the groups of one goroutine: in memory, and spilled in sorted runs.
type table struct {
	ids   *ids
	spool *spool[group]
	limit int64 // bytes of memory before a spill

	index map[string]uint32 // of a key: in now.sums
	keys  []string          // in the order of now.sums
	block []uint32          // first ids of the blocks of now
	now   *generation
	bytes int64
	old   []*generation
}

func newTable(d *ids, dir string, limit int64, fan int) *table {
	return &table{ids: d, limit: limit, index: map[string]uint32{}, now: &generation{},
		spool: &spool[group]{dir: dir, fan: fan, append: appendGroup, parse: parseGroup, compare: compareGroups}}
}

// groupCost is about how many bytes a group takes beside its key.
const groupCost = 120

// add adds to the sums of a key, and returns the id of its group.
func (t *table) add(key []byte, s *sums) (uint32, error) {
	i, ok := t.index[string(key)]
	if !ok {
		if t.bytes > t.limit {
			if err := t.spill(); err != nil {
				return 0, err
			}
		}
		i = uint32(len(t.keys))
		if i%idBlock == 0 {
			first, err := t.ids.lease(t.now, int(i))
			if err != nil {
				return 0, err
			}
			t.block = append(t.block, first)
		}
		text := string(key)
		t.index[text] = i
		t.keys, t.now.sums = append(t.keys, text), append(t.now.sums, sums{})
		t.bytes += int64(len(key)) + groupCost
	}
	t.now.sums[i].add(s)
	return t.block[i/idBlock] + i%idBlock, nil
}

// sorted returns the groups in memory in the order of their keys, as indexes.
func (t *table) sorted() []int32 {
	order := make([]int32, len(t.keys))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return strings.Compare(t.keys[a], t.keys[b]) })
	return order
}

// spill writes the groups to a sorted run, and their keys to a file in the order of their ids.
func (t *table) spill() error {
	g := t.now
	file, err := atomicfile.Scratch(t.spool.dir, "rollup")
	if err != nil {
		return err
	}
	g.file = file
	t.old = append(t.old, g)
	out, at := bufio.NewWriterSize(file, spillBuffer), uint64(0)
	offsets := make([]byte, 0, 8*(len(t.keys)+1))
	for _, key := range t.keys {
		offsets = binary.LittleEndian.AppendUint64(offsets, at)
		if _, err := out.WriteString(key); err != nil {
			return err
		}
		at += uint64(len(key))
	}
	offsets = binary.LittleEndian.AppendUint64(offsets, at)
	g.offsets = int64(at)
	if _, err := out.Write(offsets); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	order, i := t.sorted(), 0
	one := group{}
	if err := t.spool.write(func(to *group) bool {
		if i == len(order) {
			return false
		}
		one.key = append(one.key[:0], t.keys[order[i]]...)
		one.sums = g.sums[order[i]]
		*to = one
		i++
		return true
	}); err != nil {
		return err
	}
	t.bytes, t.keys, t.block, t.index = 0, nil, nil, map[string]uint32{}
	g.sums, t.now = nil, &generation{}
	return nil
}

// cursors returns cursors over everything in the table.
func (t *table) cursors() []cursor[group] {
	order, i := t.sorted(), 0
	memory := cursor[group]{next: func(to *group) error {
		if i == len(order) {
			return io.EOF
		}
		to.key, to.sums = append(to.key[:0], t.keys[order[i]]...), t.now.sums[order[i]]
		i++
		return nil
	}}
	return append(t.spool.cursors(), memory)
}

func (t *table) close() {
	for _, g := range t.old {
		atomicfile.CloseScratch(g.file)
	}
	t.spool.close()
}

// rowKey appends the bytes of a row's key. Texts end with a zero byte, which is less than all others, so that the bytes
// sort as the texts do.
func rowKey(to []byte, k *traffic.Key) []byte {
	to = binary.BigEndian.AppendUint32(to, uint32(max(k.Day, 0)))
	for _, text := range [...]string{k.Client.Cloud, k.Client.Region, k.Store, string(k.Class), string(k.Operation), k.Reason, k.Repository, string(k.Source)} {
		to = appendText(to, text)
	}
	return to
}

// appendText appends a text of at most MaxText bytes and a zero byte. Clients choose repositories: a zero byte in one
// becomes a question mark.
func appendText(to []byte, text string) []byte {
	if len(text) > MaxText {
		text = text[:MaxText]
	}
	if strings.IndexByte(text, 0) >= 0 {
		text = strings.ReplaceAll(text, "\x00", "?")
	}
	return append(append(to, text...), 0)
}

func objectKey(to []byte, k *traffic.Key, digest string) []byte {
	to = binary.BigEndian.AppendUint32(to, uint32(max(monthOf(k.Day), 0)))
	return appendText(appendText(appendText(to, digest), k.Client.Cloud), k.Client.Region)
}

// texts cuts a key made above.
func texts(key []byte) (day traffic.Day, out [8]string, err error) {
	day = traffic.Day(binary.BigEndian.Uint32(key))
	key = key[4:]
	for i := 0; len(key) > 0 && i < len(out); i++ {
		n := bytes.IndexByte(key, 0)
		if n < 0 {
			return 0, out, fmt.Errorf("a spilled key is damaged: %.80q", key)
		}
		out[i], key = string(key[:n]), key[n+1:]
	}
	return day, out, nil
}

func rowOf(g *group, r *traffic.Row, in *interned) error {
	day, t, err := texts(g.key)
	if err != nil {
		return err
	}
	*r = traffic.Row{
		Key: traffic.Key{
			Day: day, Client: place.Place{Cloud: t[0], Region: t[1]}, Store: t[2], Class: traffic.Class(t[3]),
			Operation: traffic.Operation(t[4]), Reason: t[5], Repository: t[6], Source: traffic.Source(t[7]),
		},
		Requests: max(0, g.requests), Bytes: max(0, g.bytes), Lines: g.lines, Squares: max(0, g.squares),
	}
	in.row(r)
	return nil
}

// Compare orders rows by day, client place, store, class, operation, reason, repository and source.
func Compare(a, b *traffic.Row) int {
	return cmp.Or(cmp.Compare(a.Day, b.Day), strings.Compare(a.Client.Cloud, b.Client.Cloud), strings.Compare(a.Client.Region, b.Client.Region),
		strings.Compare(a.Store, b.Store), cmp.Compare(a.Class, b.Class), cmp.Compare(a.Operation, b.Operation), strings.Compare(a.Reason, b.Reason),
		strings.Compare(a.Repository, b.Repository), cmp.Compare(a.Source, b.Source))
}
