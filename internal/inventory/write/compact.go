package write

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"slices"
	"strings"

	"ociproxy/internal/inventory"
)

// compactAbove is how many segments a head may have before some are merged. Each segment is a request for a reader that
// starts.
const compactAbove = 16

// Compact merges segments when the head has more than sixteen. It merges the newest ones, back to the first that is
// much larger than those after it. So readers seldom have to fetch the large old ones again, and stores that began
// alike keep sharing them. It drops tombstones when no older segment is left that they could override.
func (w *Writer) Compact(ctx context.Context) (*inventory.Head, error) {
	c := &compacting{w: w, there: map[string]bool{}}
	defer c.drop()
	h, err := w.change(ctx, c)
	if err != nil {
		return nil, err
	}
	for _, ref := range c.inputs {
		if !h.Has(ref.SHA256) {
			w.retire(ctx, ref.SHA256)
		}
	}
	return h, nil
}

// compacting is the edit of Compact.
type compacting struct {
	w       *Writer
	form    inventory.Form
	inputs  []inventory.SegmentRef // a run of the form's segments
	oldest  bool                   // the run began with the first: tombstones were dropped
	output  *spool                 // nil: no records are left
	there   map[string]bool
	planned bool
}

func (c *compacting) drop() {
	if c.output != nil {
		c.output.close()
	}
	c.output, c.inputs, c.planned = nil, nil, false
}

func (c *compacting) replaces() bool { return false }

func (c *compacting) done(tried, h *inventory.Head) bool {
	return c.output != nil && !tried.Has(c.output.ref.SHA256) && h.Had(c.output.ref.SHA256)
}

func (c *compacting) next(ctx context.Context, h, next *inventory.Head) error {
	if len(h.Segments) <= compactAbove {
		return errNothing
	}
	if !c.fits(h) {
		c.drop()
		if err := c.plan(ctx, h); err != nil {
			return err
		}
	}
	if c.output != nil && !c.there[c.output.ref.SHA256] {
		if err := c.w.upload(ctx, c.output); err != nil {
			return err
		}
		c.there[c.output.ref.SHA256] = true
	}
	last := c.inputs[len(c.inputs)-1]
	for _, ref := range h.Segments {
		switch {
		case ref == last && c.output != nil:
			next.Segments = append(next.Segments, c.output.ref)
		case !slices.Contains(c.inputs, ref):
			next.Segments = append(next.Segments, ref)
		}
	}
	for _, ref := range c.inputs {
		next.Merged = append(next.Merged, ref.SHA256)
	}
	next.Merged = next.Merged[max(0, len(next.Merged)-inventory.MaxMerged):]
	return nil
}

// fits reports whether the output that was merged for an earlier head can replace the same segments of h.
func (c *compacting) fits(h *inventory.Head) bool {
	if !c.planned {
		return false
	}
	list := h.Of(c.form)
	i := slices.Index(list, c.inputs[0])
	return i >= 0 && (i == 0 || !c.oldest) && begins(list[i:], c.inputs)
}

// begins reports whether list begins with first.
func begins(list, first []inventory.SegmentRef) bool {
	return len(first) <= len(list) && slices.Equal(list[:len(first)], first)
}

// plan chooses what to merge, and merges it.
func (c *compacting) plan(ctx context.Context, h *inventory.Head) error {
	var list []inventory.SegmentRef
	for _, f := range inventory.Forms() {
		if l := h.Of(f); len(l) > len(list) {
			c.form, list = f, l
		}
	}
	from := compactFrom(list)
	c.inputs, c.oldest, c.planned = list[from:], from == 0, true
	out := newSpool(c.w.opt.TempDir, c.form)
	c.output = out
	open := func(ref inventory.SegmentRef) (io.ReadCloser, error) { return c.w.open(ctx, ref) }
	err := inventory.Latest(c.form, c.inputs, open, func(record []byte, kind inventory.Kind) error {
		if c.oldest && kind == inventory.Tombstone {
			return nil
		}
		return out.add(record)
	})
	if err == nil && out.header.Count > 0 {
		return out.seal(0)
	}
	if err != nil {
		c.drop()
		return fmt.Errorf("compact: %w", err)
	}
	out.close()
	c.output = nil
	return nil
}

// compactFrom returns where in the list, oldest first, merging begins: at most eight segments stay as they are, and
// each of them is more than four times as large as everything after it.
func compactFrom(list []inventory.SegmentRef) int {
	const stay, ratio = 8, 4
	i := len(list) - 1
	sum := list[i].Bytes
	for i > 0 && (i >= stay || list[i-1].Bytes <= ratio*sum) {
		i--
		sum += list[i].Bytes
	}
	return i
}

// open reads a segment from the bucket. A segment that is not what its name says ends in an error.
func (w *Writer) open(ctx context.Context, ref inventory.SegmentRef) (io.ReadCloser, error) {
	body, _, err := w.bucket.Get(ctx, inventory.SegmentPrefix+ref.SHA256)
	if err != nil {
		return nil, err
	}
	return &hashedBody{ReadCloser: body, hash: sha256.New(), want: ref.SHA256}, nil
}

type hashedBody struct {
	io.ReadCloser
	hash hash.Hash
	want string
}

func (b *hashedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.hash.Write(p[:n])
	if errors.Is(err, io.EOF) {
		if sum := hex.EncodeToString(b.hash.Sum(nil)); sum != b.want {
			return n, fmt.Errorf("%w: its hash is %s", inventory.ErrSegment, sum)
		}
	}
	return n, err
}

// retiredPrefix is for marks that say since when a segment has been in no head: the time the mark was written.
const retiredPrefix = "retired/"

// retire marks a segment that a compaction has replaced. A failure is not an error: without the mark the segment
// stays longer.
func (w *Writer) retire(ctx context.Context, sha256 string) {
	err := w.mark(ctx, sha256, "")
	if errors.Is(err, ErrExists) { // a mark from an earlier time
		if body, version, gerr := w.bucket.Get(ctx, retiredPrefix+sha256); gerr == nil {
			_ = body.Close()
			_ = w.mark(ctx, sha256, version)
		}
	}
}

func (w *Writer) mark(ctx context.Context, sha256, version string) error {
	// The nonce makes each mark a different object: a bucket may derive its versions from the bytes.
	text := fmt.Sprintf("in no head since this was written, %016x\n", rand.Uint64())
	_, err := w.bucket.Put(ctx, retiredPrefix+sha256, Object{
		Body: strings.NewReader(text), Size: int64(len(text)), ContentType: "text/plain", CacheControl: "no-cache",
	}, version)
	return err
}
