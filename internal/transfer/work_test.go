package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/pace"
	"ociproxy/internal/set"
	"ociproxy/internal/wait"
)

// gate lets a body through once it is opened.
type gate struct {
	io.Reader
	open chan struct{}
}

func (g gate) wait(ctx context.Context) error {
	select {
	case <-g.open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// gated makes a source that sends nothing until the channel is closed.
func gated(o *origin) chan struct{} {
	open := make(chan struct{})
	o.spoil = func(_ Blob, _ int64, r io.Reader) (io.Reader, error) { return gate{r, open}, nil }
	return open
}

// TestJoin: a call joins a blob that is already on its way, with the new targets. The blob is read once.
func TestJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, heaps := newOrigin(), three()
		open := gated(o)
		blob := o.add(made(t, 1, 2*tiny))
		e := engine(t, o, Options{}, heaps...)
		first, err := e.Ensure(t.Context(), blob, set.Of(0, 1), set.Set{})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		second, err := e.Ensure(t.Context(), blob, set.Of(1, 2), set.Set{})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		close(open)
		for ch, want := range map[<-chan Result]set.Set{first: set.Of(0, 1), second: set.Of(1, 2)} {
			var got set.Set
			for r := range ch {
				if r.Err != nil || got.Has(r.Target) {
					t.Errorf("result %+v", r)
				}
				got.Add(r.Target)
			}
			if got != want {
				t.Errorf("results for %v, want %v", got, want)
			}
		}
		if o.total() != blob.Size || heaps[1].count("put") != 1 {
			t.Errorf("read %d bytes, put %d times", o.total(), heaps[1].count("put"))
		}
	})
}

// TestWrongSize: a caller with a wrong size does not harm a caller with the right one.
func TestWrongSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, heaps := newOrigin(), three()
		open := gated(o)
		blob := o.add(made(t, 1, 2*tiny))
		wrong := blob
		wrong.Size -= 5
		e := engine(t, o, Options{}, heaps...)
		bad, err := e.Ensure(t.Context(), wrong, all3, set.Set{})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			want := map[int]string{0: "uploaded", 1: "uploaded", 2: "uploaded"}
			if diff := cmp.Diff(want, hows(ensure(t, e, blob, all3, set.Set{}))); diff != "" {
				t.Errorf("right size (-want +got):\n%s", diff)
			}
		})
		synctest.Wait()
		close(open)
		for r := range bad {
			if !errors.Is(r.Err, ErrCorrupt) {
				t.Errorf("wrong size: %+v", r)
			}
		}
		wg.Wait()
	})
}

// TestCancel: a caller that gives up gets its results at once. The others get theirs.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, heaps := newOrigin(), three()
		open := gated(o)
		blob := o.add(made(t, 1, 2*tiny))
		e := engine(t, o, Options{}, heaps...)
		ctx, cancel := context.WithCancelCause(t.Context())
		first, _ := e.Ensure(ctx, blob, set.Of(0, 1), set.Set{})
		second, _ := e.Ensure(t.Context(), blob, set.Of(1, 2), set.Set{})
		synctest.Wait()
		stop := errors.New("enough")
		cancel(stop)
		for r := range first {
			if !errors.Is(r.Err, stop) {
				t.Errorf("first: %+v", r)
			}
		}
		close(open)
		for r := range second {
			if r.Err != nil {
				t.Errorf("second: %+v", r)
			}
		}
		if _, there := heaps[0].get("containers/images/" + blob.Digest.String()); there {
			t.Error("target 0 was not given up")
		}
		if _, err := e.Ensure(ctx, blob, all3, set.Set{}); !errors.Is(err, stop) {
			t.Errorf("Ensure with an ended context: %v", err)
		}
	})
}

// TestCancelledDownload: when no caller waits any more, the download ends, and its bytes stay for the next time.
func TestCancelledDownload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, heaps := newOrigin(), three()
		data, blob := made(t, 1, 4*tiny)
		o.add(data, blob)
		o.spoil = func(_ Blob, off int64, r io.Reader) (io.Reader, error) {
			if off > 0 {
				return r, nil
			}
			return &stopper{r: r, left: 3 * tiny}, nil
		}
		e := engine(t, o, Options{}, heaps...)
		ctx, cancel := context.WithCancel(t.Context())
		ch, _ := e.Ensure(ctx, blob, all3, set.Set{})
		synctest.Wait()
		cancel()
		for range ch {
		}
		synctest.Wait()
		if s := e.Stats(); s.Disk != 3*tiny || s.Fetching != 0 || s.Open != 0 {
			t.Errorf("after cancelling: %+v", s)
		}
		got := hows(ensure(t, e, blob, all3, set.Set{}))
		if diff := cmp.Diff(map[int]string{0: "uploaded", 1: "uploaded", 2: "uploaded"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if o.total() != blob.Size {
			t.Errorf("read %d bytes for %d", o.total(), blob.Size)
		}
		if s := e.Stats(); s.Disk != 0 || s.Resumed != 3*tiny {
			t.Errorf("at the end: %+v", s)
		}
	})
}

// stopper gives some bytes, and then nothing more.
type stopper struct {
	r    io.Reader
	left int
}

func (s *stopper) Read(p []byte) (int, error) {
	n, err := s.r.Read(p[:min(len(p), s.left)])
	s.left -= n
	return n, err
}

func (s *stopper) wait(ctx context.Context) error {
	if s.left > 0 {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

// TestStalledSource: the engine asks a source that stops sending again, from where it stopped.
func TestStalledSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, heaps := newOrigin(), three()
		blob := o.add(made(t, 1, 4*tiny))
		first := true
		o.spoil = func(_ Blob, off int64, r io.Reader) (io.Reader, error) {
			if first {
				first = false
				return &stopper{r: r, left: 3 * tiny}, nil
			}
			return r, nil
		}
		e := engine(t, o, Options{Stall: 10 * time.Second}, heaps...)
		start := time.Now()
		for i, r := range ensure(t, e, blob, all3, set.Set{}) {
			if r.Err != nil {
				t.Errorf("target %d: %v", i, r.Err)
			}
		}
		if d := time.Since(start); d < 10*time.Second || d > 12*time.Second {
			t.Errorf("took %s", d)
		}
		if o.total() != blob.Size {
			t.Errorf("read %d bytes for %d", o.total(), blob.Size)
		}
	})
}

// dripper gives a byte a minute forever.
type dripper struct {
	r io.Reader
}

func (d *dripper) Read(p []byte) (int, error) { return d.r.Read(p[:1]) }

func (d *dripper) wait(ctx context.Context) error { return wait.For(ctx, 59*time.Second) }

// TestDrippingSource: a blob that the source sends at a byte a minute is given up with a clear error, and does not
// delay the others.
func TestDrippingSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, heaps := newOrigin(), three()
		slow, good := o.add(made(t, 1, 8<<20)), o.add(made(t, 2, 8<<20))
		o.spoil = func(b Blob, _ int64, r io.Reader) (io.Reader, error) {
			if b.Digest == slow.Digest {
				return &dripper{r: r}, nil
			}
			return r, nil
		}
		e := engine(t, o, Options{Parallel: 1}, heaps...)
		start := time.Now()
		ch, err := e.Ensure(t.Context(), slow, all3, set.Set{})
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range ensure(t, e, good, all3, set.Set{}) {
			if r.Err != nil {
				t.Errorf("target %d: the good one: %v", i, r.Err)
			}
		}
		for r := range ch {
			if !errors.Is(r.Err, ErrSource) || !errors.Is(r.Err, pace.ErrSlow) {
				t.Errorf("target %d: %v", r.Target, r.Err)
			}
		}
		if d := time.Since(start); d > 5*time.Minute { // four tries of a minute each
			t.Errorf("took %s", d)
		}
	})
}

// TestStreams: an upload begins before the download has ended. It gets the last byte only after the digest was
// compared.
func TestStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &spool{size: 10, buf: make([]byte, 10)}
		c := &content{ctx: t.Context(), spool: s, pulse: newPulse()}
		if err := s.fill([]byte("0123456789"), 0); err != nil {
			t.Fatal(err)
		}
		s.show(10)
		p := make([]byte, 9)
		if n, err := c.ReadAt(p, 0); n != 9 || err != nil || !bytes.Equal(p, []byte("012345678")) {
			t.Fatalf("first nine: %d %v %q", n, err, p)
		}
		var last error
		done := make(chan struct{})
		go func() { _, last = c.ReadAt(p[:1], 9); close(done) }()
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("the last byte was handed out before it was verified")
		default:
		}
		s.verified(7)
		<-done
		if last != nil || p[0] != '9' || c.CRC32C() != 7 {
			t.Errorf("last byte: %v %q", last, p[:1])
		}
		if n, err := c.ReadAt(make([]byte, 4), 8); n != 2 || !errors.Is(err, io.EOF) {
			t.Errorf("across the end: %d %v", n, err)
		}
		if n, err := c.ReadAt(p, 10); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("after the end: %d %v", n, err)
		}
	})
}

// TestReadCancelled: a reader does not outlive its upload.
func TestReadCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &spool{size: 10, buf: make([]byte, 10)}
		ctx, cancel := context.WithCancel(t.Context())
		c := &content{ctx: ctx, spool: s, pulse: newPulse()}
		time.AfterFunc(time.Second, cancel) // by then it waits
		if _, err := c.ReadAt(make([]byte, 4), 0); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled upload: %v", err)
		}
		c = &content{ctx: t.Context(), spool: s, pulse: newPulse()}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := c.Verified(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled wait: %v", err)
		}
		s.fail(ErrCorrupt)
		if _, err := c.ReadAt(make([]byte, 4), 0); !errors.Is(err, ErrCorrupt) {
			t.Errorf("failed spool: %v", err)
		}
	})
}

// TestClose: running work gets some time, then the engine gives it up. The engine admits nothing more.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, heaps := newOrigin(), three()
		open := gated(o)
		e := engine(t, o, Options{}, heaps...)
		ch, _ := e.Ensure(t.Context(), o.add(made(t, 1, 2*tiny)), all3, set.Set{})
		time.AfterFunc(5*time.Second, func() { close(open) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := e.Close(ctx); err != nil {
			t.Fatal(err)
		}
		for r := range ch {
			if r.Err != nil {
				t.Errorf("%+v", r)
			}
		}
		if _, err := e.Ensure(t.Context(), o.add(made(t, 2, 5)), all3, set.Set{}); !errors.Is(err, ErrClosed) {
			t.Errorf("Ensure after Close: %v", err)
		}

		e = engine(t, o, Options{}, heaps...)
		gated(o)
		ch, _ = e.Ensure(t.Context(), o.add(made(t, 3, 2*tiny)), all3, set.Set{})
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := e.Close(ctx); err != nil {
			t.Fatal(err)
		}
		for r := range ch {
			if !errors.Is(r.Err, ErrClosed) {
				t.Errorf("%+v", r)
			}
		}
	})
}
