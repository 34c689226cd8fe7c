package storeconform

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"ociproxy/internal/store"
	"ociproxy/internal/store/storetest"
	"ociproxy/test/parts"
)

// fault is what happens to one request.
type fault string

const (
	failed    fault = "failed"         // the request never arrives
	lost      fault = "lost"           // the request is done, but the answer is lost
	busy      fault = "busy"           // the server refuses with 503
	busyDone  fault = "busy, but done" // the request is done, then answered with 503
	truncated fault = "truncated"      // the answer's body is cut
	flipped   fault = "flipped"        // a bit of the request's body changes in transit
)

var faults = []fault{failed, lost, busy, busyDone, truncated, flipped}

// faulty makes the request number at meet a fault; 0: none.
type faulty struct {
	next  http.RoundTripper
	kind  fault
	at    int32
	count atomic.Int32
}

func (f *faulty) RoundTrip(req *http.Request) (*http.Response, error) {
	if f.count.Add(1) != f.at {
		return f.next.RoundTrip(req)
	}
	reset := &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	if f.kind == failed || f.kind == busy {
		if req.Body != nil {
			req.Body.Close()
		}
		if f.kind == failed {
			return nil, reset
		}
		return unavailable(req), nil
	}
	if f.kind == flipped && req.Body != nil && req.Body != http.NoBody {
		req = req.Clone(req.Context())
		req.Body = &flip{ReadCloser: req.Body, at: req.ContentLength / 2}
	}
	resp, err := f.next.RoundTrip(req)
	if err != nil || f.kind == flipped {
		return resp, err
	}
	if f.kind == truncated {
		resp.Body = &cut{ReadCloser: resp.Body, left: max(resp.ContentLength/2, 0), err: reset}
		return resp, nil
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	if f.kind == lost {
		return nil, reset
	}
	return unavailable(req), nil
}

func unavailable(req *http.Request) *http.Response {
	return &http.Response{Status: "503 Service Unavailable", StatusCode: 503, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: http.NoBody, Request: req}
}

// flip flips a bit of the byte at an offset.
type flip struct {
	io.ReadCloser
	at int64
}

func (f *flip) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if f.at >= 0 && f.at < int64(n) {
		p[f.at] ^= 1
	}
	f.at -= int64(n)
	return n, err
}

// cut breaks a body off.
type cut struct {
	io.ReadCloser
	left int64
	err  error
}

func (c *cut) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, c.err
	}
	n, err := c.ReadCloser.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// meetFaults tries every operation of a bucket with every kind of fault at every request, one at a time. If a retry can
// repair the fault, the operation must succeed. In every case, the object must be either what was there before or what
// was written.
func meetFaults(t *testing.T, open func(t *testing.T, transport http.RoundTripper) store.Bucket) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true
	t.Cleanup(transport.CloseIdleConnections)
	good := open(t, transport)
	before, small, large := []byte("before"), noise(100_000), noise(20<<20)
	for _, op := range []struct {
		name   string
		before []byte // content before; nil: no object
		after  []byte // content after success
		do     func(t *testing.T, b store.Bucket, key, version string) error
	}{
		{"put small", nil, small, put(small)},
		{"put large", nil, large, put(large)},
		{"replace small", before, small, put(small)},
		{"replace large", before, large, put(large)},
		{"head", before, before, func(t *testing.T, b store.Bucket, key, version string) error {
			a, err := b.Head(t.Context(), key)
			if err == nil && a.Version != version {
				t.Errorf("head: version %q, want %q", a.Version, version)
			}
			return err
		}},
		{"get", large, large, func(t *testing.T, b store.Bucket, key, _ string) error { return same(t, b, key, large) }},
		{"list", before, before, func(t *testing.T, b store.Bucket, key, _ string) error {
			n := 0
			for _, err := range b.List(t.Context(), key, "") {
				if err != nil {
					return err
				}
				n++
			}
			if n != 1 {
				t.Errorf("%d objects are listed", n)
			}
			return nil
		}},
		{"delete", before, nil, func(t *testing.T, b store.Bucket, key, version string) error {
			return b.Delete(t.Context(), key, version)
		}},
	} {
		t.Run(op.name, func(t *testing.T) {
			run := func(t *testing.T, f *faulty) error {
				t.Helper()
				key, version := strings.ReplaceAll("faults/"+t.Name(), " ", "-"), ""
				if op.before != nil {
					a, err := good.Put(t.Context(), key, storetest.Whole(op.before), store.BlobHeader, "")
					if err != nil {
						t.Fatal(err)
					}
					version = a.Version
				}
				f.next = transport
				err := op.do(t, open(t, f), key, version)
				if same(t, good, key, op.after) == nil {
					return err
				}
				if err == nil || same(t, good, key, op.before) != nil {
					t.Errorf("%v, and what is there is neither old nor new: %v", err, same(t, good, key, op.after))
				}
				return err
			}
			var requests int32
			t.Run("none", func(t *testing.T) {
				var f faulty
				if err := run(t, &f); err != nil {
					t.Fatal(err)
				}
				requests = f.count.Load()
			})
			takes := parts.OneIn(6)
			for _, kind := range faults {
				for at := range requests {
					if !takes() {
						continue
					}
					t.Run(fmt.Sprintf("%s/%d", kind, at+1), func(t *testing.T) {
						if err := run(t, &faulty{kind: kind, at: at + 1}); err != nil && kind != flipped {
							t.Error(err)
						}
					})
				}
			}
		})
	}
}

func put(data []byte) func(t *testing.T, b store.Bucket, key, version string) error {
	return func(t *testing.T, b store.Bucket, key, version string) error {
		_, err := b.Put(t.Context(), key, storetest.Whole(data), store.BlobHeader, version)
		return err
	}
}

// same compares an object's content with want; nil means no object.
func same(t *testing.T, b store.Bucket, key string, want []byte) error {
	body, _, err := b.Get(t.Context(), key, 0, -1)
	if errors.Is(err, store.ErrNotFound) && want == nil {
		return nil
	}
	if err != nil {
		return err
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	if err == nil && (want == nil || !bytes.Equal(got, want)) {
		err = fmt.Errorf("%d bytes, want %d", len(got), len(want))
	}
	return err
}

func noise(n int) []byte {
	data := make([]byte, n)
	rand.NewChaCha8([32]byte{42}).Read(data)
	return data
}
