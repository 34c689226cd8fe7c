package storeconform

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ociproxy/internal/store"
	"ociproxy/internal/store/storetest"
)

// picky stands in front of a server. It refuses, or ignores, what some S3-compatible services do not know.
type picky struct {
	next    http.RoundTripper
	refuses func(*http.Request) (status int, code, message string) // status 0: refuse nothing
	clears  store.Bucket                                           // a PUT with If-None-Match first deletes here
	refused atomic.Int32
}

func (p *picky) RoundTrip(r *http.Request) (*http.Response, error) {
	if status, code, message := p.refuses(r); status != 0 {
		p.refused.Add(1)
		if r.Body != nil {
			r.Body.Close()
		}
		body := "<Error><Code>" + code + "</Code><Message>" + message + "</Message></Error>"
		if r.Method == http.MethodHead {
			body = ""
		}
		return &http.Response{StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, Header: http.Header{},
			Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}, nil
	}
	if p.clears != nil && r.Method == http.MethodPut && r.Header.Get("If-None-Match") != "" {
		if err := p.clears.Delete(r.Context(), strings.TrimPrefix(r.URL.Path, "/blobs/"), ""); err != nil {
			return nil, err
		}
	}
	return p.next.RoundTrip(r)
}

func noSums(r *http.Request) (int, string, string) {
	for name := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-checksum-") || strings.HasPrefix(lower, "x-amz-sdk-checksum") {
			return http.StatusBadRequest, "InvalidArgument", "Unsupported header '" + lower + "' received for this API call."
		}
	}
	return 0, "", ""
}

func noExpect(r *http.Request) (int, string, string) {
	if r.Header.Get("Expect") != "" {
		return http.StatusExpectationFailed, "ExpectationFailed", "no"
	}
	return 0, "", ""
}

func (s server) picky(t *testing.T, p *picky, opt store.Options) store.Bucket {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	p.next, opt.Transport = transport, p
	return s.open(t, s.url, opt)
}

// A server that refuses every checksum header is still a usable store: the client reads back what it writes.
func TestWithoutSums(t *testing.T) {
	s := versitygw(t)
	storetest.Conform(t, func(t *testing.T) store.Bucket { return s.picky(t, &picky{refuses: noSums}, store.Options{}) })
	t.Run("Check", func(t *testing.T) {
		p := &picky{refuses: noSums}
		b := s.picky(t, p, store.Options{})
		if err := b.Check(t.Context(), "inventory/probe/"); err != nil {
			t.Fatal(err)
		}
		if n := p.refused.Load(); n != 1 {
			t.Errorf("%d requests were refused: it is to be learned once", n)
		}
		if n, err := b.(store.Cleaner).Clean(t.Context(), "", 0); n != 0 || err != nil {
			t.Errorf("%d uploads are left, %v", n, err)
		}
	})
	t.Run("CopyInParts", s.copyInParts)
}

// A server, or a proxy in front of it, that refuses Expect: 100-continue gets parts without it.
func TestWithoutExpect(t *testing.T) {
	s := versitygw(t)
	for name, attempts := range map[string]string{"as usual": "", "one attempt": "1"} {
		t.Run(name, func(t *testing.T) {
			getenv := s.getenv
			s := s
			s.getenv = func(name string) string {
				if name == "AWS_MAX_ATTEMPTS" {
					return attempts
				}
				return getenv(name)
			}
			p := &picky{refuses: noExpect}
			b := s.picky(t, p, store.Options{Parallel: 1})
			data := noise(40 << 20)
			key := "expect/" + strings.ReplaceAll(name, " ", "-")
			if _, err := b.Put(t.Context(), key, storetest.Whole(data), store.BlobHeader, ""); err != nil {
				t.Fatal(err)
			}
			if n := p.refused.Load(); n != 1 {
				t.Errorf("%d requests were refused, want one", n)
			}
			body, _, err := b.Get(t.Context(), key, 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			defer body.Close()
			if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d other bytes, %v", len(got), err)
			}
		})
	}
}

// The check names what a bucket cannot do, and what the operator has to do.
func TestUnable(t *testing.T) {
	s := versitygw(t)
	none := func(*http.Request) (int, string, string) { return 0, "", "" }
	for name, c := range map[string]struct {
		picky *picky
		texts []string
	}{
		"refuses conditions": {&picky{refuses: func(r *http.Request) (int, string, string) {
			if r.Header.Get("If-None-Match") != "" || r.Header.Get("If-Match") != "" {
				return http.StatusNotImplemented, "NotImplemented", "A header you provided implies functionality that is not implemented"
			}
			return noSums(r)
		}}, []string{"conditional writes", "NotImplemented", "If-None-Match", "docs/mirroring.md"}},
		"ignores conditions": {&picky{refuses: none, clears: s.open(t, s.url, store.Options{})},
			[]string{"written as if there were none", "If-None-Match", "docs/mirroring.md"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := s.picky(t, c.picky, store.Options{}).Check(t.Context(), "inventory/probe/")
			if !errors.Is(err, store.ErrUnfit) {
				t.Errorf("%v, want ErrUnfit", err)
			}
			for _, want := range append(c.texts, "s3://blobs") {
				if err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("%v: want %q in it", err, want)
				}
			}
		})
	}
}

// liar returns wrong bytes once.
type liar struct {
	picky
	lies atomic.Int32
}

func (l *liar) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.picky.RoundTrip(r)
	if err == nil && r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/wrong") && resp.StatusCode == http.StatusOK && l.lies.Add(1) == 1 {
		raw, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		raw[len(raw)/2] ^= 1
		resp.Body = io.NopCloser(bytes.NewReader(raw))
	}
	return resp, err
}

// If the store proves nothing, the put notices wrong bytes and removes the object.
func TestReadBack(t *testing.T) {
	s := versitygw(t)
	for name, size := range map[string]int{"whole": 1000, "parts": 17 << 20} {
		t.Run(name, func(t *testing.T) {
			transport := http.DefaultTransport.(*http.Transport).Clone()
			t.Cleanup(transport.CloseIdleConnections)
			l := &liar{picky: picky{next: transport, refuses: noSums}}
			b := s.open(t, s.url, store.Options{Transport: l})
			_, err := b.Put(t.Context(), name+"/wrong", storetest.Whole(noise(size)), store.BlobHeader, "")
			if err == nil || !strings.Contains(err.Error(), "other bytes") {
				t.Errorf("%v", err)
			}
			if _, err := b.Head(t.Context(), name+"/wrong"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("it stays: %v", err)
			}
			if _, err := b.Put(t.Context(), name+"/wrong", storetest.Whole(noise(size)), store.BlobHeader, ""); err != nil {
				t.Errorf("again: %v", err)
			}
		})
	}
}

// A server that does not list unfinished uploads is usable too.
func TestWithoutUploads(t *testing.T) {
	s := versitygw(t)
	b := s.picky(t, &picky{refuses: func(r *http.Request) (int, string, string) {
		if _, ok := r.URL.Query()["uploads"]; ok && r.Method == http.MethodGet {
			return http.StatusNotImplemented, "NotImplemented", "no"
		}
		return 0, "", ""
	}}, store.Options{})
	if err := b.Check(t.Context(), "inventory/probe/"); err != nil {
		t.Error(err)
	}
	if _, err := b.(store.Cleaner).Clean(t.Context(), "", time.Hour); err == nil || !strings.Contains(err.Error(), "life-cycle") {
		t.Errorf("%v", err)
	}
}

// counting counts reads.
type counting struct {
	picky
	reads atomic.Int32
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blind/") {
		c.reads.Add(1)
	}
	return c.picky.RoundTrip(r)
}

// A server that accepts bytes with another hash than the signed one is detected. From then on, what is written to it is
// read back, also by clients that open the bucket later.
func TestBlind(t *testing.T) {
	s := versitygw(t)
	learned := new(store.Learned)
	for _, check := range []bool{true, false} {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		t.Cleanup(transport.CloseIdleConnections)
		c := &counting{picky: picky{next: transport, refuses: func(r *http.Request) (int, string, string) {
			if r.Method != http.MethodPut || r.Body == nil || r.ContentLength != 2 {
				return 0, "", ""
			}
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			if storetest.Whole(body).SHA256() != r.Header.Get("X-Amz-Content-Sha256") {
				return http.StatusOK, "", "" // the server accepts it
			}
			return 0, "", ""
		}}}
		b := s.open(t, s.url, store.Options{Transport: c, Learned: learned})
		if check {
			if err := b.Check(t.Context(), "inventory/probe/"); err != nil {
				t.Fatal(err)
			}
		}
		for i, size := range []int{1000, 17 << 20} {
			before := c.reads.Load()
			key := "blind/" + []string{"small", "large"}[i]
			if check {
				key += "-checked"
			}
			if _, err := b.Put(t.Context(), key, storetest.Whole(noise(size)), store.BlobHeader, ""); err != nil {
				t.Fatal(err)
			}
			if n := c.reads.Load() - before; n != 1 {
				t.Errorf("checked %v: %d bytes were read %d times, want once", check, size, n)
			}
		}
	}
}
