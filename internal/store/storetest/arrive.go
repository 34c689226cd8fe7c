package storetest

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"ociproxy/internal/store"
	"ociproxy/internal/wait"
)

func large(t *testing.T, b bucket) {
	data := big()
	c := Whole(data)
	sum := c.SHA256()
	a := b.put(t, "k", c, "")
	b.want(t, "k", data)
	head, err := b.Head(t.Context(), b.dir+"k")
	if err != nil {
		t.Fatal(err)
	}
	if head.Version != a.Version || head.Header != header || head.ContentEncoding != "" {
		t.Errorf("head %+v, put returned version %q", head, a.Version)
	}
	checksums(t, head, sum, c.CRC32C())
	_, err = b.Put(t.Context(), b.dir+"k", Whole(data), header, "")
	b.wantErr(t, "put again", err, store.ErrExists)
	_, err = b.Put(t.Context(), b.dir+"k", Whole(data), header, `"other"`)
	b.wantErr(t, "replace another version", err, store.ErrConflict)
	other := random(6, 17<<20)
	replaced := b.put(t, "k", Whole(other).Nameless(), head.Version)
	if replaced.Version == head.Version {
		t.Error("the version stayed the same")
	}
	b.want(t, "k", other)
}

// poll waits until f returns true.
func poll(t *testing.T, what string, f func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if wait.Until(ctx, 5*time.Millisecond, f) != nil {
		t.Fatalf("waited without success for %s", what)
	}
}

// start begins a Put in the background. The function that it returns waits for the result, for at most three minutes.
func (b bucket) start(t *testing.T, ctx context.Context, key string, c store.Content) (wait func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := b.Put(ctx, b.dir+key, c, header, "")
		done <- err
	}()
	return func() error {
		t.Helper()
		select {
		case err := <-done:
			return err
		case <-time.After(3 * time.Minute): // a busy server answers 500 for a cleaned upload, so Put tries again
			t.Fatal("Put does not return")
			return nil
		}
	}
}

// slow tests that the store takes bytes as they arrive, and that nothing is visible until all bytes have arrived.
func slow(t *testing.T, b bucket) {
	data := big()
	c := NewStream(data)
	wait := b.start(t, t.Context(), "k", c)
	for _, n := range []int64{20 << 20, 30 << 20} {
		c.Arrive(n)
		poll(t, "the bytes that have arrived to be read", func() bool { return c.Reached() >= 16<<20 })
		b.absent(t, "k")
	}
	c.Arrive(c.Size())
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	b.want(t, "k", data)
}

func unverified(t *testing.T, b bucket) {
	for name, data := range map[string][]byte{"small": []byte("small"), "empty": {}, "big": big()} {
		_, err := b.Put(t.Context(), b.dir+name, Whole(data).Refuse(ErrWrong), header, "")
		b.wantErr(t, "put of "+name+" refused content", err, ErrWrong)
		b.absent(t, name)
	}
	a := b.put(t, "k", Whole([]byte("good")), "")
	_, err := b.Put(t.Context(), b.dir+"k", Whole([]byte("bad")).Refuse(ErrWrong), header, a.Version)
	b.wantErr(t, "replace by refused content", err, ErrWrong)
	b.want(t, "k", []byte("good"))
}

func cut(t *testing.T, b bucket) {
	broken := errors.New("the source hung up")
	for name, data := range map[string][]byte{"small": random(7, 1<<20), "big": big()} {
		for _, arrived := range []int{0, 1, len(data) / 2, len(data) - 1} {
			c := NewStream(data)
			wait := b.start(t, t.Context(), name, c)
			c.Arrive(int64(arrived))
			c.Break(broken)
			b.wantErr(t, "put of cut content", wait(), broken)
			b.absent(t, name)
		}
		// The same content again, this time complete.
		b.put(t, name, Whole(data), "")
		b.want(t, name, data)
	}
}

// wrongBytes tests that a store does not receive bytes other than the verified ones, or notices.
func wrongBytes(t *testing.T, b bucket) {
	for name, data := range map[string][]byte{"small": random(8, 70_000), "big": big()} {
		for _, at := range []int{0, len(data) / 2, len(data) - 1} {
			if _, err := b.Put(t.Context(), b.dir+name, Spoilt(data, at), header, ""); err == nil {
				t.Errorf("%s: taken, with byte %d wrong", name, at)
			}
			b.absent(t, name)
		}
	}
}

func cancel(t *testing.T, b bucket) {
	for name, data := range map[string][]byte{"small": random(9, 100_000), "big": big()} {
		ctx, cancel := context.WithCancel(t.Context())
		c := NewStream(data)
		wait := b.start(t, ctx, name, c)
		c.Arrive(int64(len(data)) / 2)
		begun := time.Now()
		cancel()
		b.wantErr(t, "cancelled put", wait(), context.Canceled)
		if took := time.Since(begun); took > 15*time.Second {
			t.Errorf("a cancelled put took %v to end", took)
		}
		b.absent(t, name)
		b.put(t, name, Whole(data), "")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	body, _, err := b.Get(ctx, b.dir+"big", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	cancel()
	if _, err := io.Copy(io.Discard, body); err == nil {
		t.Log("all was read after the cancellation: it was there already")
	}
}

func copyWithin(t *testing.T, b bucket) {
	c, ok := b.Bucket.(store.Copier)
	if !ok {
		t.Skip("no store.Copier")
	}
	if !c.CopiesFrom(b.Bucket) {
		t.Fatal("a bucket that cannot copy from itself")
	}
	for name, data := range map[string][]byte{"small": random(10, 10_000), "empty": {}, "big": big()} {
		from := b.put(t, name, Whole(data), "")
		got, err := c.CopyFrom(t.Context(), b.dir+name+"-copy", b.Bucket, from, header)
		if err != nil {
			t.Fatalf("copy of %s: %v", name, err)
		}
		a := b.want(t, name+"-copy", data)
		if got.Version != a.Version || got.Size != a.Size || got.Key != b.dir+name+"-copy" {
			t.Errorf("copy of %s returned %+v, there is %+v", name, got, a)
		}
		whole := Whole(data)
		checksums(t, got, whole.SHA256(), whole.CRC32C())
		if head, err := b.Head(t.Context(), b.dir+name+"-copy"); err != nil || head.Header != header {
			t.Errorf("the copy of %s has header %+v, %v", name, head.Header, err)
		}
		_, err = c.CopyFrom(t.Context(), b.dir+name+"-copy", b.Bucket, from, header)
		b.wantErr(t, "copy onto what is there", err, store.ErrExists)
		b.put(t, name, Whole([]byte("changed "+name)), from.Version)
		if _, err := c.CopyFrom(t.Context(), b.dir+name+"-stale", b.Bucket, from, header); err == nil {
			t.Errorf("copied an old version of %s that is no longer there", name)
		}
		b.absent(t, name+"-stale")
	}
	_, err := c.CopyFrom(t.Context(), b.dir+"none-copy", b.Bucket, store.Attrs{Key: b.dir + "none", Size: 5, Version: `"x"`}, header)
	if err == nil {
		t.Error("copied what is not there")
	}
	b.absent(t, "none-copy")
}

func clean(t *testing.T, b bucket) {
	c, ok := b.Bucket.(store.Cleaner)
	if !ok {
		t.Skip("no store.Cleaner")
	}
	b.put(t, "kept", Whole([]byte("kept")), "")
	stream := NewStream(big())
	wait := b.start(t, t.Context(), "k", stream)
	stream.Arrive(20 << 20)
	poll(t, "a part to be read", func() bool { return stream.Reached() >= 16<<20 })
	if n, err := c.Clean(t.Context(), b.dir, time.Hour); n != 0 || err != nil {
		t.Errorf("cleaned away %d young uploads, %v", n, err)
	}
	if n, err := c.Clean(t.Context(), b.dir+"other", 0); n != 0 || err != nil {
		t.Errorf("cleaned away %d uploads elsewhere, %v", n, err)
	}
	poll(t, "the upload to be old", func() bool {
		n, err := c.Clean(t.Context(), b.dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		return n == 1
	})
	stream.Arrive(stream.Size())
	if err := wait(); err == nil {
		t.Error("an upload ended well that had been cleaned away")
	}
	b.absent(t, "k")
	if n, err := c.Clean(t.Context(), b.dir, 0); n != 0 || err != nil {
		t.Errorf("%d uploads were left, %v", n, err)
	}
	b.want(t, "kept", []byte("kept"))
}
