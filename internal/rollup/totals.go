package rollup

import (
	"bytes"
	"container/heap"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"maps"
	"slices"

	"ociproxy/internal/place"
	"ociproxy/internal/traffic"
)

// Rows returns the sums in the order of [Compare]. Call it after Finish, as often as you like. The pointer is valid
// until the next row.
func (c *Collector) Rows(ctx context.Context) iter.Seq2[*traffic.Row, error] {
	return func(yield func(*traffic.Row, error) bool) {
		var in interned
		var r traffic.Row
		for g, err := range c.groups(ctx, 0) {
			if err == nil {
				err = rowOf(g, &r, &in)
			}
			if !yield(&r, err) || err != nil {
				return
			}
		}
	}
}

// groups returns the groups of all tables of a kind, 0 for rows and 1 for objects, in the order of their keys.
func (c *Collector) groups(ctx context.Context, kind int) iter.Seq2[*group, error] {
	return func(yield func(*group, error) bool) {
		all := c.extra[kind].cursors()
		for _, p := range c.parts {
			all = append(all, [...]*table{p.rows, p.objects}[kind].cursors()...)
		}
		m := newMerge(compareGroups, all)
		var sum, one group
		for n := 0; ; n++ {
			err := m.next(&one)
			if n%4096 == 0 && err == nil {
				err = ctx.Err()
			}
			switch {
			case err != nil && !errors.Is(err, io.EOF):
				yield(nil, err)
				return
			case err == nil && bytes.Equal(sum.key, one.key):
				sum.add(&one.sums)
				continue
			}
			// A group whose lines were all duplicates of lines in other groups is no group.
			if sum.lines > 0 && !yield(&sum, nil) || err != nil {
				return
			}
			sum.key, sum.sums = append(sum.key[:0], one.key...), one.sums
		}
	}
}

// Objects returns the digests with the most bytes of each month, by client place, and for each month and client place
// the sum of all others, with the digest "". Call it after Finish.
func (c *Collector) Objects(ctx context.Context) iter.Seq2[*traffic.Object, error] {
	return func(yield func(*traffic.Object, error) bool) {
		least, err := c.least(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		stopped := false
		give := func(o *traffic.Object) bool {
			stopped = stopped || !yield(o, nil)
			return !stopped
		}
		month, rest := traffic.Day(-1), map[place.Place]*sums{}
		endMonth := func() bool {
			for _, at := range slices.SortedFunc(maps.Keys(rest), func(a, b place.Place) int { return comparePlaces(a, b) }) {
				s := rest[at]
				if !give(&traffic.Object{Month: month, Client: at, Requests: max(0, s.requests), Bytes: max(0, s.bytes)}) {
					return false
				}
			}
			clear(rest)
			return true
		}
		for d, err := range c.digests(ctx) {
			if err != nil {
				yield(nil, err)
				return
			}
			if d.month != month {
				if !endMonth() {
					return
				}
				month = d.month
			}
			if l := least[month]; d.bytes > l.bytes || d.bytes == l.bytes && l.equal > 0 {
				if d.bytes == l.bytes {
					l.equal--
				}
				for i := range d.each {
					if !give(&d.each[i]) {
						return
					}
				}
				continue
			}
			for _, o := range d.each {
				s := rest[o.Client]
				if s == nil {
					s = &sums{}
					rest[o.Client] = s
				}
				s.add(&sums{requests: o.Requests, bytes: o.Bytes})
			}
		}
		endMonth()
	}
}

func comparePlaces(a, b place.Place) int {
	if n := bytes.Compare([]byte(a.Cloud), []byte(b.Cloud)); n != 0 {
		return n
	}
	return bytes.Compare([]byte(a.Region), []byte(b.Region))
}

// digest is one digest in one month.
type digest struct {
	month traffic.Day
	text  string
	bytes float64
	each  []traffic.Object // by client place
}

// digests returns all digests, by month. The pointer is valid until the next one.
func (c *Collector) digests(ctx context.Context) iter.Seq2[*digest, error] {
	return func(yield func(*digest, error) bool) {
		var d digest
		var in interned
		for g, err := range c.groups(ctx, 1) {
			if err != nil {
				yield(nil, err)
				return
			}
			month := traffic.Day(binary.BigEndian.Uint32(g.key))
			_, t, err := texts(g.key)
			if err != nil {
				yield(nil, err)
				return
			}
			if len(d.each) > 0 && (d.month != month || d.text != t[0]) {
				if !yield(&d, nil) {
					return
				}
				d.each, d.bytes = d.each[:0], 0
			}
			d.month, d.text = month, t[0]
			b := max(0, g.bytes)
			d.bytes += b
			d.each = append(d.each, traffic.Object{Month: month, Digest: t[0], Client: place.Place{Cloud: in.of(t[1]), Region: in.of(t[2])},
				Requests: max(0, g.requests), Bytes: b})
		}
		if len(d.each) > 0 {
			yield(&d, nil)
		}
	}
}

// least is what a digest needs to be among the first of its month: more bytes, or as many, for the first equal ones.
type least struct {
	bytes float64
	equal int
}

func (c *Collector) least(ctx context.Context) (map[traffic.Day]*least, error) {
	out := map[traffic.Day]*least{}
	month, top := traffic.Day(-1), floats{}
	end := func() {
		if len(top) == 0 {
			return
		}
		l := &least{bytes: top[0]}
		for _, b := range top {
			if b == l.bytes {
				l.equal++
			}
		}
		out[month] = l
		top = top[:0]
	}
	for d, err := range c.digests(ctx) {
		if err != nil {
			return nil, err
		}
		if d.month != month {
			end()
			month = d.month
		}
		switch {
		case len(top) < c.opt.Top:
			heap.Push(&top, d.bytes)
		case d.bytes > top[0]:
			top[0] = d.bytes
			heap.Fix(&top, 0)
		}
	}
	end()
	return out, nil
}

// floats is a heap with the least on top.
type floats []float64

func (f floats) Len() int           { return len(f) }
func (f floats) Less(i, j int) bool { return f[i] < f[j] }
func (f floats) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }
func (f *floats) Push(x any)        { *f = append(*f, x.(float64)) }
func (f *floats) Pop() any {
	last := (*f)[len(*f)-1]
	*f = (*f)[:len(*f)-1]
	return last
}
