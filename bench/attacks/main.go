// Command attacks attacks an oci-proxy as hostile clients and upstreams do: one attack after the other, each on a fresh
// process. It measures what an attack costs (memory, goroutines, outbound requests), and whether the proxy still serves
// an honest client of another network.
package main

import (
	"compress/gzip"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ociproxy/bench/figures"
	"ociproxy/bench/process"
)

func main() {
	long := flag.Duration("for", 10*time.Second, "how long each attack lasts")
	flag.Parse()
	code := process.Run("attacks", func(ctx context.Context, dir string) error { return run(ctx, dir, *long) })
	os.Exit(code) //nolint:forbidigo // this is a main
}

func run(ctx context.Context, dir string, long time.Duration) error {
	binary, err := process.Build(ctx, dir)
	if err != nil {
		return err
	}
	var out []figures.Figure
	for _, a := range attacks {
		f, err := measure(ctx, binary, dir, a, long)
		if err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
		out = append(out, f...)
	}
	return figures.Write(os.Stdout, filepath.Join("bench", "out", "attacks.json"), out)
}

// site is one process under attack, and the upstream behind it.
type site struct {
	ctx           context.Context
	listen, admin string
	pid           int
	asked         atomic.Int64 // requests that the upstream received
}

// tags returns a list of valid tags of about n bytes.
func tags(n int) string {
	return `{"name":"a","tags":["v1"` + strings.Repeat(`,"v1234567"`, n/11) + `]}`
}

// upstream answers lists of tags: a deeply nested one for repository "nested", the largest for "large", a short one for
// others.
func (s *site) upstream() http.Handler {
	bodies := map[string]string{"nested": `{"x":` + strings.Repeat("[", 8<<20-8), "large": tags(8<<20 - 1<<10)}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		parts := strings.Split(r.URL.Path, "/")
		body, big := bodies[parts[min(2, len(parts)-1)]]
		if !big {
			_, _ = io.WriteString(rw, tags(0))
			return
		}
		rw.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(rw)
		_, _ = io.WriteString(z, body)
		_ = z.Close()
	})
}

func (s *site) start(binary, dir, behind string) (stop func(), err error) {
	up := httptest.NewServer(s.upstream())
	if s.listen, err = process.FreeAddr(); err == nil {
		s.admin, err = process.FreeAddr()
	}
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf(`version: 1
listen: %q
admin: %q
location: gcp/us-central1
client: {behind: %s}
limits: {maxConnections: 2000}
log: {requests: 0, level: error}
upstreams: [{name: us, url: %q, insecure: true, place: gcp/us-central1, canonical: true}]
`, s.listen, s.admin, behind, up.URL)
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	cmd := process.Command(s.ctx, binary, "serve", "--config", file)
	end, err := process.Start(cmd)
	if err != nil {
		return nil, err
	}
	s.pid = cmd.Process.Pid
	stop = func() { end(); up.Close() }
	return stop, process.Until(s.ctx, 20*time.Second, 10*time.Millisecond, func() bool {
		_, err := s.metric("go_goroutines")
		return err == nil && s.honest()
	})
}

// honest asks for a short list of tags on a new connection. Its network is not the attackers'.
func (s *site) honest() bool {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: from("127.0.9.9")}}
	req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, "http://"+s.listen+"/v2/small/tags/list", nil)
	if err != nil {
		return false
	}
	req.Header.Set("X-Forwarded-For", "3.9.9.9")
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// from returns a dialer that uses a loopback address as its own.
func from(addr string) func(context.Context, string, string) (net.Conn, error) {
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}, Timeout: 5 * time.Second}
	return d.DialContext
}

func measure(ctx context.Context, binary, dir string, a attack, long time.Duration) ([]figures.Figure, error) {
	s := &site{ctx: ctx}
	stop, err := s.start(binary, dir, a.behind)
	if err != nil {
		return nil, err
	}
	defer stop()
	before, err := process.Memory(s.pid, "VmRSS")
	if err != nil {
		return nil, err
	}
	s.asked.Store(0)
	attackCtx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	var attackers sync.WaitGroup
	for i := range a.connections {
		attackers.Go(func() { a.do(attackCtx, s, i) })
	}
	served, asked, goroutines := 0, 0, 0.0
	for attackCtx.Err() == nil {
		asked++
		if s.honest() {
			served++
		}
		if g, err := s.metric("go_goroutines"); err == nil {
			goroutines = max(goroutines, g)
		}
		_ = process.Until(attackCtx, 200*time.Millisecond, 200*time.Millisecond, func() bool { return false })
	}
	outbound := s.asked.Load() - int64(asked)
	peak, err := process.Memory(s.pid, "VmHWM")
	cancel()
	attackers.Wait()
	name := "attacks." + a.name
	return []figures.Figure{
		{Name: name + ".memory_before", Value: before, Unit: "MiB"},
		{Name: name + ".memory_peak", Value: peak, Unit: "MiB"},
		{Name: name + ".goroutines_peak", Value: goroutines, Unit: "1"},
		{Name: name + ".outbound_rps", Value: float64(outbound) / long.Seconds(), Unit: "1/s"},
		{Name: name + ".honest_served", Value: 100 * float64(served) / float64(asked), Unit: "%"},
	}, err
}
