package store

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/outbound"
	"ociproxy/internal/wait"
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

// kindsOver are one bucket of each kind, over a transport.
func kindsOver(t *testing.T, rt http.RoundTripper) map[string]Bucket {
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
		b, err := Open(t.Context(), at, Options{Transport: rt, Getenv: func(name string) string { return env[name] }})
		if err != nil {
			t.Fatal(err)
		}
		all[at[:strings.Index(at, ":")]] = b
	}
	return all
}

// The first contact with a bucket tells why there is none: at once, when another try would end in the same way, and by the last
// try's own error, when there were many.
func TestFirstContact(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	for name, tt := range map[string]struct {
		trip   trip
		within time.Duration // the whole, by the test's clock
		tries  int32         // at most
		want   []string
	}{
		"an unknown authority": {trip{err: x509.UnknownAuthorityError{}}, 0, 1, []string{"unknown authority", "SSL_CERT_FILE"}},
		"another name":         {trip{err: x509.HostnameError{Certificate: &x509.Certificate{}, Host: "store.test"}}, 0, 1, []string{"another name"}},
		"no such host":         {trip{err: dial(&net.DNSError{Err: "no such host", Name: "store.test", IsNotFound: true})}, 0, 1, []string{"no such host"}},
		"refused":              {trip{err: dial(os.NewSyscallError("connect", syscall.ECONNREFUSED))}, 5 * time.Second, 5, []string{"refused", "nobody listens"}},
		"a proxy's password":   {trip{err: &outbound.ProxyError{Proxy: "proxy.test:3128", Status: 407}}, 0, 1, []string{"proxy.test:3128", "407", "HTTPS_PROXY"}},
		"a proxy's, plainly":   {trip{status: 407}, 0, 1, []string{"407", "HTTPS_PROXY"}},
		"a proxy that says no": {trip{err: &outbound.ProxyError{Proxy: "proxy.test:3128", Status: 403}}, 0, 1, []string{"403", "NO_PROXY"}},
		"denied":               {trip{status: 403}, 0, 2, []string{"not permitted"}},
		"bad gateway":          {trip{status: 502}, 30 * time.Second, 20, []string{"502"}},
		"a broken proxy":       {trip{err: &outbound.ProxyError{Proxy: "proxy.test:3128", Status: 502}}, 30 * time.Second, 20, []string{"proxy.test:3128", "502"}},
		"a reset":              {trip{err: dial(syscall.ECONNRESET)}, 30 * time.Second, 20, []string{"reset"}},
		"busy, in S3's words": {trip{status: 503, body: "<Error><Code>SlowDown</Code><Message>later</Message></Error>"},
			30 * time.Second, 20, []string{"503"}},
	} {
		t.Run(name, func(t *testing.T) {
			for kind := range map[string]bool{"s3": true, "gs": true, "azblob": true} {
				synctest.Test(t, func(t *testing.T) {
					tr := &trip{err: tt.trip.err, status: tt.trip.status, body: tt.trip.body}
					b := kindsOver(t, tr)[kind]
					begun := time.Now()
					err := wait.Within(t.Context(), 30*time.Second, func(ctx context.Context) error { return b.Check(ctx, "inventory/probe/") })
					took := time.Since(begun)
					if err == nil || took > tt.within || tr.n > tt.tries {
						t.Errorf("%s: after %v and %d requests: %v; want at most %v and %d", kind, took, tr.n, err, tt.within, tt.tries)
						return
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

// A deadline of whoever calls tells what the last try came to, whichever method it was.
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

// A store that does not list its unfinished uploads says what else can remove them.
func TestCannotClean(t *testing.T) {
	b := kindsOver(t, &trip{status: 501, body: "<Error><Code>NotImplemented</Code><Message>no</Message></Error>"})["s3"]
	n, err := b.(Cleaner).Clean(t.Context(), "x/", time.Hour)
	if n != 0 || !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "life-cycle") {
		t.Errorf("%d, %v", n, err)
	}
}

// Only what the config expects is compared, and only with what a service of regions says.
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
