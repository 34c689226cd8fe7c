package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ociproxy/internal/outbound"
	"ociproxy/internal/wait"
)

// Tags are the build tags of a release, as in the Makefile. Without them, Google's storage client links its gRPC code,
// which nothing here calls.
const Tags = "disable_grpc_modules"

// Build builds oci-proxy into dir and returns its path.
func Build(ctx context.Context, dir string) (string, error) {
	return BuildCommand(ctx, dir, "oci-proxy")
}

// BuildCommand builds one of the programs into dir and returns its path.
func BuildCommand(ctx context.Context, dir, name string) (string, error) {
	binary := filepath.Join(dir, name)
	if out, err := Command(ctx, "go", "build", "-tags", Tags, "-o", binary, "./cmd/"+name).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return binary, nil
}

// FreeAddr returns a free loopback address.
func FreeAddr() (string, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// Client follows no redirects.
var Client = &http.Client{
	Timeout:       time.Second,
	CheckRedirect: outbound.NoRedirect,
}

// Get sends a GET request with from in X-Forwarded-For, and returns the status and Location.
func Get(ctx context.Context, url, from string) (status int, location string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("X-Forwarded-For", from)
	resp, err := Client.Do(req)
	if err != nil {
		return 0, "", err
	}
	resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Location"), nil
}

// Until polls done until it returns true.
func Until(ctx context.Context, within, every time.Duration, done func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, errors.New("not within "+within.String()))
	defer cancel()
	return wait.Until(ctx, every, done)
}

// Memory returns a size of a process (VmRSS, VmHWM) from /proc, in MiB.
func Memory(pid int, key string) (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			kib, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			return float64(kib) / 1024, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no %s", pid, key)
}
