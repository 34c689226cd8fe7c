package transfer

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/set"
)

var all3 = set.Of(0, 1, 2)

func three() []*heap { return []*heap{newHeap("a"), newHeap("b"), newHeap("c")} }

// TestOnce: one read, three stores; small and large blobs, both algorithms, and the empty blob.
func TestOnce(t *testing.T) {
	for name, size := range map[string]int{"empty": 0, "byte": 1, "small": 70_000, "limit": smallBlob, "large": smallBlob + 1, "larger": 5 << 20} {
		for alg, make := range map[string]func(testing.TB, uint64, int) ([]byte, Blob){"sha256": made, "sha512": made512} {
			t.Run(name+"/"+alg, func(t *testing.T) {
				o, heaps := newOrigin(), three()
				data, blob := make(t, 1, size)
				o.add(data, blob)
				e := engine(t, o, Options{small: smallBlob}, heaps...)
				got := hows(ensure(t, e, blob, all3, set.Set{}))
				want := map[int]string{0: "uploaded", 1: "uploaded", 2: "uploaded"}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("results (-want +got):\n%s", diff)
				}
				for _, h := range heaps {
					if ob, ok := h.get("containers/images/" + blob.Digest.String()); !ok || !bytes.Equal(ob.data, data) {
						t.Errorf("%s does not hold the blob", h.name)
					}
				}
				if o.total() != int64(size) || e.Stats().SourceBytes != int64(size) {
					t.Errorf("source bytes %d, counted %d, want %d", o.total(), e.Stats().SourceBytes, size)
				}
				again := hows(ensure(t, e, blob, all3, set.Set{}))
				if diff := cmp.Diff(map[int]string{0: "already there", 1: "already there", 2: "already there"}, again); diff != "" {
					t.Errorf("second time (-want +got):\n%s", diff)
				}
				if len(o.opens) != 1 {
					t.Errorf("source was asked %d times", len(o.opens))
				}
				if s := e.Stats(); s.Disk != 0 || s.Memory != 0 || s.Open != 0 {
					t.Errorf("left over: %+v", s)
				}
			})
		}
	}
}

// TestSourceFaults tests what a source can do wrong.
func TestSourceFaults(t *testing.T) {
	cut := errors.New("connection reset")
	tests := map[string]struct {
		spoil func(n int) func(b Blob, off int64, r io.Reader) (io.Reader, error)
		want  string
	}{
		"cut thrice": {func(n int) func(Blob, int64, io.Reader) (io.Reader, error) {
			left := 3
			return func(b Blob, off int64, r io.Reader) (io.Reader, error) {
				if left--; left >= 0 {
					return cutAfter(r, 43_000, cut), nil
				}
				return r, nil
			}
		}, "uploaded"},
		"ends early thrice": {func(n int) func(Blob, int64, io.Reader) (io.Reader, error) {
			left := 3
			return func(b Blob, off int64, r io.Reader) (io.Reader, error) {
				if left--; left >= 0 {
					return io.LimitReader(r, 31_000), nil
				}
				return r, nil
			}
		}, "uploaded"},
		"refuses twice": {func(n int) func(Blob, int64, io.Reader) (io.Reader, error) {
			left := 2
			return func(b Blob, off int64, r io.Reader) (io.Reader, error) {
				if left--; left >= 0 {
					return nil, cut
				}
				return r, nil
			}
		}, "uploaded"},
		"wrong bytes": {func(n int) func(Blob, int64, io.Reader) (io.Reader, error) {
			return func(b Blob, off int64, r io.Reader) (io.Reader, error) {
				return io.MultiReader(bytes.NewReader([]byte{1}), r), nil
			}
		}, ErrCorrupt.Error()},
		"one wrong bit": {func(n int) func(Blob, int64, io.Reader) (io.Reader, error) {
			return func(b Blob, off int64, r io.Reader) (io.Reader, error) { return &flip{r: r, at: n / 2}, nil }
		}, ErrCorrupt.Error()},
		"wrong after a cut": {func(n int) func(Blob, int64, io.Reader) (io.Reader, error) {
			calls := 0 // like a server that ignores the range
			return func(b Blob, off int64, r io.Reader) (io.Reader, error) {
				switch calls++; calls {
				case 1:
					return cutAfter(r, 43_000, cut), nil
				case 2:
					return &flip{r: r, at: 5}, nil
				}
				return r, nil
			}
		}, "uploaded"},
		"short": {func(n int) func(Blob, int64, io.Reader) (io.Reader, error) {
			return func(b Blob, off int64, r io.Reader) (io.Reader, error) { return io.LimitReader(r, int64(n)-9-off), nil }
		}, ErrCorrupt.Error()},
		"long": {func(n int) func(Blob, int64, io.Reader) (io.Reader, error) {
			return func(b Blob, off int64, r io.Reader) (io.Reader, error) {
				return io.MultiReader(r, bytes.NewReader([]byte("more"))), nil
			}
		}, ErrCorrupt.Error()},
		"always cut at the same byte": {func(n int) func(Blob, int64, io.Reader) (io.Reader, error) {
			return func(b Blob, off int64, r io.Reader) (io.Reader, error) {
				return cutAfter(r, int64(n)/2-off, cut), nil
			}
		}, ErrSource.Error()},
		"gone": {func(n int) func(Blob, int64, io.Reader) (io.Reader, error) {
			return func(b Blob, off int64, r io.Reader) (io.Reader, error) { return nil, ErrGone }
		}, ErrGone.Error()},
	}
	for name, tt := range tests {
		for _, size := range []int{56_000, 3 * tiny} {
			bubble(t, name, func(t *testing.T) {
				o, heaps := newOrigin(), three()
				heaps[1].weak = true
				data, blob := made(t, 2, size)
				o.add(data, blob)
				o.spoil = tt.spoil(size)
				e := engine(t, o, Options{}, heaps...)
				got := hows(ensure(t, e, blob, all3, set.Set{}))
				if diff := cmp.Diff(map[int]string{0: tt.want, 1: tt.want, 2: tt.want}, got); diff != "" {
					t.Errorf("results (-want +got):\n%s", diff)
				}
				for _, h := range heaps {
					ob, ok := h.get("containers/images/" + blob.Digest.String())
					if ok != (tt.want == "uploaded") || ok && !bytes.Equal(ob.data, data) {
						t.Errorf("%s: holds %v", h.name, ok)
					}
				}
				if s := e.Stats(); s.Memory != 0 || s.Fetching != 0 {
					t.Errorf("left over: %+v", s)
				}
			})
		}
	}
}

// flip changes one byte.
type flip struct {
	r  io.Reader
	at int
}

func (f *flip) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if f.at >= 0 && f.at < n {
		p[f.at] ^= 1
	}
	f.at -= n
	return n, err
}
