package demo

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/cli"
)

// freePorts returns the first of ten ports in a row that were free a moment ago.
func freePorts(t *testing.T) int {
	t.Helper()
next:
	for range 50 {
		ln, err := listenLoopback(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
		first := ln.Addr().(*net.TCPAddr).Port
		if first+publishedPorts > 1<<16 {
			continue
		}
		open := inARow(uint16(first))
		var taken []net.Listener
		for range publishedPorts {
			ln, err := open(t.Context())
			if err != nil {
				break
			}
			taken = append(taken, ln)
		}
		for _, ln := range taken {
			ln.Close()
		}
		if len(taken) < publishedPorts {
			continue next
		}
		return first
	}
	t.Fatal("no ten free ports in a row")
	return 0
}

// TestPublished: a client on the container's host needs only the ports that the host publishes on its loopback. No
// address that the demo prints is on another port. The demo does not print addresses that work only inside the
// container.
func TestPublished(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		t.Run(format, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			first := freePorts(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			r, w := io.Pipe()
			done := make(chan error, 1)
			go func() {
				err := Run(ctx, Options{Published: true, Idle: true, Listen: fmt.Sprintf("127.0.0.1:%d", first), Stdout: w, Output: format})
				_ = w.CloseWithError(cmp.Or(err, io.EOF))
				done <- err
			}()
			lines := bufio.NewScanner(r)
			lines.Scan()
			said := lines.Text()
			if format == "json" {
				for _, port := range regexp.MustCompile(`127\.0\.0\.1:(\d+)`).FindAllStringSubmatch(said, -1) {
					if n, _ := strconv.Atoi(port[1]); n < first || n >= first+publishedPorts {
						t.Errorf("port %s is not published: %s", port[1], said)
					}
				}
				for n := range publishedPorts {
					reach(t, fmt.Sprintf("%s:%d", anyAddress(t), first+n))
				}
				try(t, lines)
			} else {
				for !strings.HasPrefix(lines.Text(), "Stop with") && lines.Scan() {
					said += "\n" + lines.Text()
				}
				if strings.Contains(said, os.Getenv("TMPDIR")) || !strings.Contains(said, "run the image with the argument --fail") {
					t.Error(said)
				}
			}
			cancel()
			for lines.Scan() { // the demo would wait if this did not read its output
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// anyAddress returns an address of this machine that is not on loopback, as a container's address is. Where there is
// none, it returns one on loopback.
func anyAddress(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.String()
		}
	}
	return "127.0.0.1"
}

func reach(t *testing.T, address string) {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	c.Close()
}

func TestPublishedWrongly(t *testing.T) {
	taken, err := listenLoopback(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, tt := range map[string]struct {
		opt  Options
		want int
	}{
		"taken":       {Options{Published: true, Listen: taken.Addr().String()}, cli.CodeFailure},
		"everybody":   {Options{Published: true, Listen: "0.0.0.0:5050"}, cli.CodeUsage},
		"any port":    {Options{Published: true, Listen: "127.0.0.1:0"}, cli.CodeUsage},
		"not so many": {Options{Published: true, Listen: "127.0.0.1:65530"}, cli.CodeUsage},
		"once":        {Options{Published: true, Once: true}, cli.CodeUsage},
		"fail":        {Options{Published: true, Fail: nodeCDN}, cli.CodeUsage},
	} {
		if err := Run(t.Context(), tt.opt); cli.Code(err) != tt.want {
			t.Errorf("%s: exit code %d, want %d: %v", name, cli.Code(err), tt.want, err)
		}
	}
}
