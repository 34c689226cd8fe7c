package transfer

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"ociproxy/internal/oci"
	"ociproxy/internal/set"
	"ociproxy/internal/store"
)

// anonymous reads a heap as an anonymous client, as far as its rights allow.
type anonymous struct {
	h       *heap
	private map[string]bool // versions that anonymous clients may not read
	always  error           // what it gets, whatever is there
	asked   int
}

func (s *anonymous) look(_ context.Context, d oci.Digest, size int64) error {
	s.asked++
	o, ok := s.h.get(store.BlobKey(d))
	if !ok || o.a.Size != size || s.private[o.a.Version] {
		return fmt.Errorf("403: %w", store.ErrHidden)
	}
	return s.always
}

// TestHidden: the right bytes count as missing if clients do not get them unchanged.
func TestHidden(t *testing.T) {
	spoils := map[string]func(*store.Attrs, *anonymous){
		"an encoding":          func(a *store.Attrs, _ *anonymous) { a.ContentEncoding = "gzip" },
		"a transfer's coding":  func(a *store.Attrs, _ *anonymous) { a.ContentEncoding = "aws-chunked" },
		"an archive":           func(a *store.Attrs, _ *anonymous) { a.Hidden = "storage class GLACIER" },
		"a text":               func(a *store.Attrs, _ *anonymous) { a.ContentType = "application/json" },
		"private":              func(a *store.Attrs, s *anonymous) { s.private = map[string]bool{a.Version: true} },
		"private, no checksum": func(a *store.Attrs, s *anonymous) { a.SHA256, s.private = "", map[string]bool{a.Version: true} },
	}
	for name, spoil := range spoils {
		bubble(t, name, func(t *testing.T) {
			o, h := newOrigin(), newHeap("a")
			data, blob := made(t, 3, 2*tiny)
			o.add(data, blob)
			key := store.BlobKey(blob.Digest)
			if _, err := h.write(key, data, ""); err != nil {
				t.Fatal(err)
			}
			s := &anonymous{h: h}
			there := h.objects[key]
			spoil(&there.a, s)
			h.objects[key] = there
			e := engine(t, o, Options{Targets: []Target{{Name: "a", Sink: ToBucket("a", h, s.look)}}})
			r := ensure(t, e, blob, set.Of(0), set.Set{})[0]
			now, _ := h.get(key)
			if r.Err != nil || r.How == AlreadyThere || now.a.Version == there.a.Version || now.a.Altered() != "" {
				t.Errorf("%v, %v: %+v", r.How, r.Err, now.a)
			}
		})
	}
}

// TestHiddenForGood: an object that stays hidden counts as missing. It is not written over and over.
func TestHiddenForGood(t *testing.T) {
	for name, always := range map[string]error{"hidden": fmt.Errorf("cached: %w", store.ErrHidden), "nobody answers": errors.New("no route")} {
		bubble(t, name, func(t *testing.T) {
			o, h := newOrigin(), newHeap("a")
			data, blob := made(t, 3, 2*tiny)
			o.add(data, blob)
			if _, err := h.write(store.BlobKey(blob.Digest), data, ""); err != nil {
				t.Fatal(err)
			}
			s := &anonymous{h: h, always: always}
			e := engine(t, o, Options{Targets: []Target{{Name: "a", Sink: ToBucket("a", h, s.look)}}})
			r := ensure(t, e, blob, set.Of(0), set.Set{})[0]
			if !errors.Is(r.Err, always) || h.count("put") > 1 || s.asked == 0 {
				t.Errorf("%v, %v: written %d times, asked %d times", r.How, r.Err, h.count("put"), s.asked)
			}
		})
	}
}

// TestHiddenOrigin: an object that a store lists, but that its clients do not get, is not copied to other stores.
func TestHiddenOrigin(t *testing.T) {
	bubble(t, "copy", func(t *testing.T) {
		o, heaps := newOrigin(), []*heap{newHeap("a"), newHeap("b")}
		data, blob := made(t, 3, 2*tiny)
		o.add(data, blob)
		key := store.BlobKey(blob.Digest)
		for _, h := range heaps {
			h.copier = true
		}
		if _, err := heaps[0].write(key, data, ""); err != nil {
			t.Fatal(err)
		}
		there := heaps[0].objects[key]
		there.a.ContentEncoding = "gzip"
		heaps[0].objects[key] = there
		e := engine(t, o, Options{CopyWithinGroup: true}, heaps...)
		r := ensure(t, e, blob, set.Of(1), set.Of(0))[1]
		if r.Err != nil || r.How != Uploaded || heaps[1].count("copy") > 0 {
			t.Errorf("%v, %v, copied %d times", r.How, r.Err, heaps[1].count("copy"))
		}
	})
}
