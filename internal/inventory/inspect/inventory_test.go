package inspect

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inventorytest"
	"ociproxy/internal/inventory/write"
	"ociproxy/internal/oci"
)

const base = "https://a.example/inventory/"

// publish makes a bucket whose inventory lists n blobs, and the transport to read it.
func publish(t *testing.T, n int) (*inventorytest.Bucket, http.RoundTripper) {
	t.Helper()
	b := &inventorytest.Bucket{}
	w := write.New(b, write.Options{Store: "a", TempDir: t.TempDir()})
	var records []inventory.Record
	for i := range n {
		d, err := oci.ParseDigest(fmt.Sprintf("sha256:%064x", i))
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, inventory.Record{Digest: d, Size: int64(i), Kind: inventory.Blob})
	}
	if _, err := w.Apply(t.Context(), records...); err != nil {
		t.Fatal(err)
	}
	return b, inventorytest.Client(http.StripPrefix("/inventory", b)).Transport
}

func TestOpen(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	_, transport := publish(t, 1000)
	var seen, of int64
	s, err := Open(t.Context(), Source{URL: base, Store: "a"}, Options{
		Transport: transport,
		Progress:  func(received, total int64) { seen, of = received, total },
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.State() != inventory.Current || s.Head().Store != "a" {
		t.Errorf("%v %+v", s.State(), s.Head())
	}
	var sum Totals
	for r, err := range s.Records() {
		if err != nil {
			t.Fatal(err)
		}
		sum.Add(r.Size)
	}
	if want := (Totals{1000, 999 * 1000 / 2}); sum != want {
		t.Errorf("holds %+v, want %+v", sum, want)
	}
	if seen < of || of < 38000 {
		t.Errorf("progress ended at %d of %d", seen, of)
	}
	s.Close()
	nothingLeft(t)
}

func nothingLeft(t *testing.T) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "oci-proxyctl-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestOpenFails(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	_, transport := publish(t, 1)
	if _, err := Open(t.Context(), Source{URL: base, Store: "b"}, Options{Transport: transport}); !errors.Is(err, inventory.ErrForeign) {
		t.Errorf("of another store: %v", err)
	}
	b, transport := publish(t, 1)
	key := b.Keys(inventory.SegmentPrefix)[0]
	b.Set(key, []byte("something else"))
	if _, err := Open(t.Context(), Source{URL: base}, Options{Transport: transport}); !errors.Is(err, inventory.ErrSegment) {
		t.Errorf("a bad segment: %v", err)
	}
	nothingLeft(t)
}

// stuck answers the head, and cancels at any other request.
type stuck struct {
	http.RoundTripper
	cancel context.CancelFunc
	asked  atomic.Int64
}

func (s *stuck) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, inventory.HeadName) {
		return s.RoundTripper.RoundTrip(r)
	}
	s.asked.Add(1)
	s.cancel()
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestInterrupted: Ctrl-C in the middle of a segment ends the command at once, and leaves nothing behind.
func TestInterrupted(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	_, transport := publish(t, 10)
	for name, f := range map[string]func(context.Context, Options) error{
		"open": func(ctx context.Context, opt Options) error {
			_, err := Open(ctx, Source{URL: base}, opt)
			return err
		},
		"verify": func(ctx context.Context, opt Options) error {
			_, err := Verify(ctx, Source{URL: base}, Verification{}, opt)
			return err
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		s := &stuck{RoundTripper: transport, cancel: cancel}
		if err := f(ctx, Options{Transport: s}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v", name, err)
		}
		if s.asked.Load() == 0 {
			t.Errorf("%s: no segment was asked for", name)
		}
		cancel()
		nothingLeft(t)
	}
}

// TestRewrittenMeanwhile: a mirror that writes at the same time is not a fault.
func TestRewrittenMeanwhile(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	b, transport := publish(t, 10)
	heads := 0
	rewrite := roundTrip(func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, inventory.HeadName) {
			if heads++; heads == 2 {
				w := write.New(b, write.Options{Store: "a", TempDir: t.TempDir()})
				d, err := oci.ParseDigest("sha256:" + strings.Repeat("f", 64))
				if err != nil {
					return nil, err
				}
				if _, err := w.Apply(r.Context(), inventory.Record{Digest: d, Size: 1, Kind: inventory.Blob}); err != nil {
					return nil, err
				}
			}
		}
		return transport.RoundTrip(r)
	})
	r, err := Verify(t.Context(), Source{URL: base}, Verification{}, Options{Transport: rewrite})
	if err != nil || !r.OK() || r.Held == nil || r.Held.Blobs != 11 {
		t.Errorf("%+v, %v", r, err)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
