// Command memory measures the memory of an oci-proxy process with large inventories: 1 M digests in 33 stores, 98 % of
// them in all stores, read from a cache directory. It measures the process at rest, and at the peak of a refresh that
// adds 2 % to every store while the process answers requests.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"

	"ociproxy/bench/figures"
	"ociproxy/bench/process"
	"ociproxy/bench/stores"
	"ociproxy/internal/place"
	"ociproxy/internal/wait"
)

func main() {
	digests := flag.Int("digests", 1_000_000, "digests in all stores together")
	n := flag.Int("stores", 33, "stores")
	flag.Parse()
	code := process.Run("memory", func(ctx context.Context, dir string) error { return run(ctx, dir, *digests, *n) })
	os.Exit(code) //nolint:forbidigo // this is a main
}

const (
	listen, admin = "127.0.0.1:18480", "127.0.0.1:18481"
	refresh       = 2 * time.Second
	settle        = 20 * time.Second // time for the runtime to return the garbage of the start
)

func run(ctx context.Context, dir string, digests, n int) error {
	world := stores.New(n)
	defer world.Close()
	shared := digests * 98 / 100
	if err := world.Share(ctx, 0, shared); err != nil {
		return err
	}
	own := (digests - shared) / n
	for i := range n {
		if err := world.List(ctx, i, shared+i*own, shared+(i+1)*own); err != nil {
			return err
		}
	}
	p, err := startProxy(ctx, dir, world)
	if err != nil {
		return err
	}
	defer p.kill()
	if err := p.wait(ctx, digests*99/100); err != nil {
		return err
	}
	stop := p.load(ctx, digests)
	defer stop()
	steady, err := p.steady(ctx)
	if err != nil {
		return err
	}
	if err := world.Share(ctx, digests, digests+digests/50); err != nil {
		return err
	}
	if err := p.wait(ctx, digests+digests/100); err != nil {
		return err
	}
	peak, err := p.status("VmHWM")
	if err != nil {
		return err
	}
	after, err := p.steady(ctx)
	if err != nil {
		return err
	}
	return figures.Write(os.Stdout, filepath.Join("bench", "out", "memory.json"), []figures.Figure{
		{Name: "memory.digests", Value: float64(digests), Unit: "1"},
		{Name: "memory.stores", Value: float64(n), Unit: "1"},
		{Name: "memory.steady", Value: steady, Unit: "MiB"},
		{Name: "memory.peak", Value: peak, Unit: "MiB"},
		{Name: "memory.after_refresh", Value: after, Unit: "MiB"},
		{Name: "memory.requests_meanwhile", Value: float64(p.answered.Load()), Unit: "1"},
	})
}

// running is an oci-proxy process.
type running struct {
	cmd      *exec.Cmd
	kill     func()
	answered atomic.Int64
}

func startProxy(ctx context.Context, dir string, world *stores.Stores) (*running, error) {
	binary, err := process.Build(ctx, dir)
	if err != nil {
		return nil, err
	}
	var places []string
	for _, s := range place.Embedded().Sites() {
		if s.Partition == "aws" {
			places = append(places, s.Place.String())
		}
	}
	config := fmt.Sprintf(`version: 1
listen: %q
admin: %q
location: gcp/us-central1
client: {behind: {header: X-Forwarded-For, entry: 1}}
log: {requests: 0, level: error}
ranges: {cache: %q, overrides: [{cidr: 3.0.0.0/8, place: aws/us-east-1}]}
upstreams: [{name: us, url: "https://us-central1-docker.pkg.dev", place: gcp/us-central1, canonical: true}]
`, listen, admin, filepath.Join(dir, "cache")) + world.Config(places, refresh)
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	cmd := process.Command(ctx, binary, "serve", "--config", file)
	kill, err := process.Start(cmd)
	return &running{cmd: cmd, kill: kill}, err
}

var digestsLine = regexp.MustCompile(`(?m)^ociproxy_inventory_digests ([0-9.e+]+)$`)

// wait polls until the union table has at least n digests.
func (p *running) wait(ctx context.Context, n int) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); <-tick.C {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		resp, err := http.Get("http://" + admin + "/metrics") //nolint:noctx // a benchmark on loopback
		if err != nil {
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			continue
		}
		if m := digestsLine.FindSubmatch(body); m != nil {
			if have, err := strconv.ParseFloat(string(m[1]), 64); err == nil && int(have) >= n {
				return nil
			}
		}
	}
	return errors.New("the inventories were not read within 3 minutes")
}

// load asks for digests as many clients, until stopped.
func (p *running) load(ctx context.Context, digests int) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			url := "http://" + listen + "/v2/a/blobs/" + stores.Digest(i*7919%digests)
			if status, _, err := process.Get(ctx, url, fmt.Sprintf("3.%d.%d.7", i>>8&0xff, i&0xff)); err == nil && status == http.StatusTemporaryRedirect {
				p.answered.Add(1)
			}
		}
	}()
	return func() { cancel(); <-done }
}

// steady waits a while and returns the resident memory in MiB.
func (p *running) steady(ctx context.Context) (float64, error) {
	if err := wait.For(ctx, settle); err != nil {
		return 0, err
	}
	return p.status("VmRSS")
}

// status returns a size from /proc, in MiB.
func (p *running) status(key string) (float64, error) { return process.Memory(p.cmd.Process.Pid, key) }
