package parts

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"ociproxy/internal/outbound"
	"ociproxy/internal/wait"
)

// Ready is how long a program may take until it serves. It is generous: a loaded machine takes seconds to start a
// registry.
const Ready = 60 * time.Second

// Poll calls check until it returns nil. It fails the test with check's last error when the deadline passes.
func Poll(t testing.TB, limit time.Duration, what string, check func() error) {
	t.Helper()
	if err := poll(t.Context(), limit, check); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// poll calls check every 20 ms at first, then less and less often, down to four times a second.
func poll(ctx context.Context, limit time.Duration, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for n := 0; ; n++ {
		err := check()
		if err == nil {
			return nil
		}
		if wait.For(ctx, wait.Doubled(20*time.Millisecond, n, 250*time.Millisecond)) != nil {
			return fmt.Errorf("not within %v: %w", limit, err)
		}
	}
}

// HTTP returns a check that a GET of url answers with the wanted status.
func HTTP(url string, status int) func() error {
	client := &http.Client{
		Timeout:       2 * time.Second,
		CheckRedirect: outbound.NoRedirect,
		Transport:     &http.Transport{DisableKeepAlives: true},
	}
	return func() error {
		resp, err := client.Get(url)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != status {
			return fmt.Errorf("GET %s: %s, want %d", url, resp.Status, status)
		}
		return nil
	}
}

// Dial returns a check that something listens on the address.
func Dial(network, addr string) func() error {
	return func() error {
		conn, err := net.DialTimeout(network, addr, time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}
