package store

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func TestWholeSHA256(t *testing.T) {
	const sum = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
	for _, c := range []struct {
		sum  string
		kind types.ChecksumType
		want string
	}{
		{sum, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{sum, types.ChecksumTypeFullObject, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{sum, types.ChecksumTypeComposite, ""},
		{sum + "-3", "", ""},
		{sum + "-3", types.ChecksumTypeComposite, ""},
		{"AAAA", "", ""},
		{"", "", ""},
	} {
		if got := wholeSHA256(&c.sum, c.kind); got != c.want {
			t.Errorf("%q %q: %q, want %q", c.sum, c.kind, got, c.want)
		}
	}
	if got := wholeSHA256(nil, ""); got != "" {
		t.Errorf("none: %q", got)
	}
}

func TestPartSize(t *testing.T) {
	b := &s3Bucket{partSize: minPart}
	const mib = 1 << 20
	for _, c := range []struct{ size, want int64 }{
		{17 * mib, 16 * mib},
		{9000 * 16 * mib, 16 * mib},
		{9000*16*mib + 1, 17 * mib},
		{5 << 40, 583 * mib}, // the largest object of S3
	} {
		got := b.partSizeOf(c.size)
		if parts := (c.size + got - 1) / got; got != c.want || parts > 10_000 {
			t.Errorf("%d bytes: %d parts of %d, want parts of %d", c.size, parts, got, c.want)
		}
	}
}

func TestRangeTotal(t *testing.T) {
	for text, want := range map[string]int64{"bytes 5-9/100": 100, "bytes 0-9/100": -1, "bytes 5-9/*": -1, "": -1, "bytes 55-9/3": -1} {
		got, err := rangeTotal(text, 5)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
}

func TestEscapeKey(t *testing.T) {
	const key, want = "a/sha256:0 +%ä", "a/sha256%3A0%20%2B%25%C3%A4"
	if got := escapeKey(key); got != want {
		t.Errorf("%q: %q, want %q", key, got, want)
	}
}

// If there are no credentials, the error says so, and does not look like a fault of the network.
func TestWithoutCredentials(t *testing.T) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	b, err := Open(t.Context(), "s3://b?region=us-east-1&endpoint=http://127.0.0.1:1", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Head(t.Context(), "key"); !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), "no credentials") || strings.Contains(err.Error(), "operation error S3") {
		t.Error(err)
	}
}

// The error for a store that cannot be reached says just that, without the SDK's text about a status that was never
// received.
func TestNoAnswer(t *testing.T) {
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	b, err := Open(t.Context(), "s3://b?region=us-east-1&endpoint=http://127.0.0.1:1", Options{Getenv: func(name string) string {
		return map[string]string{"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_MAX_ATTEMPTS": "1"}[name]
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Head(t.Context(), "key"); err == nil || !strings.Contains(err.Error(), "no answer: ") || strings.Contains(err.Error(), "status 0") {
		t.Error(err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if b, err = Open(t.Context(), "s3://b?region=us-east-1&endpoint=http://"+silent.Addr().String(), Options{Getenv: func(name string) string {
		return map[string]string{"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}[name]
	}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := b.Head(ctx, "key"); !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "status 0") {
		t.Error(err)
	}
}
