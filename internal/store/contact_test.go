package store

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/outbound"
)

// trip answers every request in the same way.
type trip struct {
	err           error
	status        int
	body          string
	header        http.Header
	n             int32 // read after all requests
	authorization string
}

func (tr *trip) RoundTrip(r *http.Request) (*http.Response, error) {
	atomic.AddInt32(&tr.n, 1)
	tr.authorization = r.Header.Get("Authorization")
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
		r.Body.Close()
	}
	if tr.err != nil {
		return nil, tr.err
	}
	h := tr.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	return &http.Response{StatusCode: tr.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h,
		Body: io.NopCloser(strings.NewReader(tr.body)), ContentLength: int64(len(tr.body)), Request: r}, nil
}

// kindsOver opens one bucket of each kind, over a transport.
func kindsOver(t *testing.T, rt http.RoundTripper, log ...*slog.Logger) map[string]Bucket {
	t.Helper()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	env := map[string]string{"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s",
		"AZURE_STORAGE_KEY": base64.StdEncoding.EncodeToString([]byte("key"))}
	all := map[string]Bucket{}
	for _, at := range []string{"s3://b?region=us-east-1&endpoint=http://store.test", "gs://b?endpoint=http://store.test",
		"azblob://account/b?endpoint=http://store.test/account"} {
		opt := Options{Transport: rt, Getenv: func(name string) string { return env[name] }}
		if len(log) > 0 {
			opt.Logger = log[0]
		}
		b, err := Open(t.Context(), at, opt)
		if err != nil {
			t.Fatal(err)
		}
		all[at[:strings.Index(at, ":")]] = b
	}
	return all
}

// soonOver is how long a first contact may take: some ten seconds and the pause before the last try.
const soonOver = 15 * time.Second

// The first contact with a bucket reports why it failed. It fails at once if another try would end in the same way.
// After several tries, it reports the error of the last one.
func TestFirstContact(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	for name, tt := range map[string]struct {
		trip   trip
		within time.Duration // in total, by the test's clock
		tries  int32         // at most
		want   []string
	}{
		"an unknown authority": {trip{err: x509.UnknownAuthorityError{}}, 0, 1, []string{"unknown authority", "SSL_CERT_FILE"}},
		"another name":         {trip{err: x509.HostnameError{Certificate: &x509.Certificate{}, Host: "store.test"}}, 0, 1, []string{"another name"}},
		"no such host":         {trip{err: dial(&net.DNSError{Err: "no such host", Name: "store.test", IsNotFound: true})}, 0, 1, []string{"no such host"}},
		"refused":              {trip{err: dial(os.NewSyscallError("connect", syscall.ECONNREFUSED))}, 5 * time.Second, 5, []string{"refused", "no server listens"}},
		"a proxy's password":   {trip{err: &outbound.ProxyError{Proxy: "proxy.test:3128", Status: 407}}, 0, 1, []string{"proxy.test:3128", "407", "HTTPS_PROXY"}},
		"a proxy's, plainly":   {trip{status: 407}, 0, 1, []string{"407", "HTTPS_PROXY"}},
		"a proxy that says no": {trip{err: &outbound.ProxyError{Proxy: "proxy.test:3128", Status: 403}}, 0, 1, []string{"403", "NO_PROXY"}},
		"denied":               {trip{status: 403}, 0, 2, []string{"not permitted"}},
		"bad gateway":          {trip{status: 502}, soonOver, 20, []string{"status 502"}},
		"a broken proxy":       {trip{err: &outbound.ProxyError{Proxy: "proxy.test:3128", Status: 502}}, soonOver, 20, []string{"proxy.test:3128", "502"}},
		"a reset":              {trip{err: dial(syscall.ECONNRESET)}, soonOver, 20, []string{"reset"}},
		"cut off":              {trip{err: io.ErrUnexpectedEOF}, soonOver, 20, []string{"unexpected EOF"}},
		"a time-out each time": {trip{err: dial(os.ErrDeadlineExceeded)}, soonOver, 20, []string{"i/o timeout"}},
		"busy, in S3's words": {trip{status: 503, body: "<Error><Code>SlowDown</Code><Message>later</Message></Error>"},
			soonOver, 20, []string{"503"}},
		"throttled": {trip{status: 429, header: http.Header{"Retry-After": {"1"}}}, soonOver, 20, []string{"status 429", "come again in 1s"}},
		"throttled for an hour": {trip{status: 503, header: http.Header{"Retry-After": {"3600"}}}, 0, 1,
			[]string{"status 503", "come again in 5m0s"}},
	} {
		t.Run(name, func(t *testing.T) {
			for kind := range map[string]bool{"s3": true, "gs": true, "azblob": true} {
				synctest.Test(t, func(t *testing.T) {
					tr := &trip{err: tt.trip.err, status: tt.trip.status, body: tt.trip.body, header: tt.trip.header}
					var log bytes.Buffer
					b := kindsOver(t, tr, slog.New(slog.NewTextHandler(&log, nil)))[kind]
					begun := time.Now()
					err := b.Check(t.Context(), "inventory/probe/")
					took := time.Since(begun)
					if err == nil || took > tt.within || tr.n > tt.tries {
						t.Errorf("%s: after %v and %d requests: %v; want at most %v and %d", kind, took, tr.n, err, tt.within, tt.tries)
						return
					}
					if lines := strings.Count(log.String(), "store.test"); lines != 0 && tr.n == 1 || tr.n > 2 && lines != 1 {
						t.Errorf("%s: %d requests, and the log says %s; want one line when one was repeated", kind, tr.n, &log)
					}
					for _, want := range append(tt.want, "b") {
						if !strings.Contains(err.Error(), want) {
							t.Errorf("%s: %v: want %q in it", kind, err, want)
						}
					}
					if strings.Contains(err.Error(), "context deadline exceeded") {
						t.Errorf("%s: %v", kind, err)
					}
				})
			}
		})
	}
}

// Each of the libraries keeps to the pause that a store asks for in its first answer. What the store answers after that
// counts.
func TestFirstPause(t *testing.T) {
	for _, kind := range []string{"s3", "gs", "azblob"} {
		for _, asked := range []time.Duration{3 * time.Second, 20 * time.Second} {
			t.Run(kind+" "+asked.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tr := &trip{status: 503, header: http.Header{"Retry-After": {strconv.Itoa(int(asked / time.Second))}}}
					b := kindsOver(t, &turns{first: tr, then: &trip{status: 404}, after: asked})[kind]
					begun := time.Now()
					_, err := b.Head(t.Context(), "k")
					if took := time.Since(begun); !errors.Is(err, ErrNotFound) || tr.n != 1 || took < asked {
						t.Errorf("%v after %v and %d requests that were too early; want what the store says later", err, took, tr.n-1)
					}
				})
			})
		}
	}
}

// turns is a store that answers in one way for some time after the first request, and in another way after that.
type turns struct {
	first, then http.RoundTripper
	after       time.Duration
	begun       time.Time
}

func (r *turns) RoundTrip(req *http.Request) (*http.Response, error) {
	if r.begun.IsZero() {
		r.begun = time.Now()
	}
	if time.Since(r.begun) < r.after {
		return r.first.RoundTrip(req)
	}
	return r.then.RoundTrip(req)
}

// A store that has answered well before gets the usual number of tries.
func TestLaterFault(t *testing.T) {
	for kind, least := range map[string]int32{"s3": 8, "gs": 5, "azblob": 6} {
		synctest.Test(t, func(t *testing.T) {
			tr := &trip{status: 404}
			b := kindsOver(t, tr)[kind]
			if _, err := b.Head(t.Context(), "k"); !errors.Is(err, ErrNotFound) {
				t.Fatal(err)
			}
			tr.status, tr.n = 503, 0
			if _, err := b.Head(t.Context(), "k"); err == nil || tr.n != least {
				t.Errorf("%s: %d tries, %v; want %d", kind, tr.n, err, least)
			}
		})
	}
}

// When the caller's deadline ends, the error reports how the last try failed, for every method.
func TestDeadlineTells(t *testing.T) {
	for kind := range map[string]bool{"s3": true, "gs": true, "azblob": true} {
		for name, do := range map[string]func(context.Context, Bucket) error{
			"head": func(ctx context.Context, b Bucket) error { _, err := b.Head(ctx, "k"); return err },
			"get":  func(ctx context.Context, b Bucket) error { _, _, err := b.Get(ctx, "k", 0, -1); return err },
			"put": func(ctx context.Context, b Bucket) error {
				_, err := b.Put(ctx, "k", Bytes([]byte("x")), Header{}, "")
				return err
			},
			"delete": func(ctx context.Context, b Bucket) error { return b.Delete(ctx, "k", "") },
			"list": func(ctx context.Context, b Bucket) error {
				for _, err := range b.List(ctx, "", "") {
					return err
				}
				return nil
			},
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := kindsOver(t, &trip{status: 502})[kind]
					ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
					defer cancel()
					err := do(ctx, b)
					if err == nil || !strings.Contains(err.Error(), "502") {
						t.Errorf("%v: want the status in it", err)
					}
				})
			})
		}
	}
}

// If a store cannot list its unfinished uploads, the error says what else can remove them.
func TestCannotClean(t *testing.T) {
	b := kindsOver(t, &trip{status: 501, body: "<Error><Code>NotImplemented</Code><Message>no</Message></Error>"})["s3"]
	n, err := b.(Cleaner).Clean(t.Context(), "x/", time.Hour)
	if n != 0 || !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "life-cycle") {
		t.Errorf("%d, %v", n, err)
	}
}

// Only the region that the config expects is compared, and only with the answer of a service that has regions.
func TestRegions(t *testing.T) {
	for _, tt := range []struct {
		url, expected, said string
		fit                 bool
	}{
		{"s3://b?region=auto&endpoint=https://id.r2.cloudflarestorage.com", "", "weur", true},
		{"s3://b?region=auto&endpoint=https://id.r2.cloudflarestorage.com", "", "", true},
		{"s3://b?region=eu-central-003&endpoint=https://s3.eu-central-003.backblazeb2.com", "", "us-east-1", true},
		{"s3://b?region=default&endpoint=http://ceph", "eu-west-1", "default", true},
		{"s3://b?region=eu-west-1&endpoint=http://minio", "eu-west-1", "us-east-1", true},
		{"s3://b?region=eu-west-1&endpoint=http://minio", "eu-west-1", "us-east-2", false},
		{"s3://b?region=eu-west-1", "", "us-east-1", false},
		{"s3://b?region=eu-west-1", "eu-west-1", "us-east-1", false},
		{"s3://b?region=eu-west-1&endpoint=https://s3.dualstack.eu-west-1.amazonaws.com", "eu-west-1", "us-east-1", false},
		{"s3://b?region=eu-west-1&endpoint=https://bucket.vpce-1.s3.eu-west-1.vpce.amazonaws.com", "", "us-east-1", false},
		{"s3://b?region=cn-north-1&endpoint=https://s3.cn-north-1.amazonaws.com.cn", "", "cn-north-1", true},
		{"s3://b?region=us-east-1", "us-east-1", "us-east-1", true},
	} {
		tr := &trip{status: 200, header: http.Header{"X-Amz-Bucket-Region": {tt.said}}}
		b, err := Open(t.Context(), tt.url, Options{Region: tt.expected, Transport: tr, Getenv: func(name string) string {
			return map[string]string{"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}[name]
		}})
		if err != nil {
			t.Fatal(err)
		}
		err = b.(*s3Bucket).checkRegion(t.Context(), tt.said)
		if (err == nil) != tt.fit {
			t.Errorf("%s, expected in %q, says %q: %v; want fit %v", tt.url, tt.expected, tt.said, err, tt.fit)
		}
	}
}
