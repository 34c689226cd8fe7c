// Command flood sends made-up digests to an oci-proxy whose stores publish no inventory: each digest once, first from
// one client, then from many networks. The proxy must ask a store about every one of them. The command measures what an
// attacker can cost: memory, goroutines, outbound requests, and the waiting time of honest clients.
package main

import (
	"bytes"
	"context"
	_ "embed" // flood.lua
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"ociproxy/bench/figures"
	"ociproxy/bench/process"
	"ociproxy/bench/stores"
)

//go:embed flood.lua
var script []byte

func main() {
	requests := flag.Int("requests", 5_000_000, "made-up digests, half from one client and half from many")
	flag.Parse()
	code := process.Run("flood", func(ctx context.Context, dir string) error { return run(ctx, dir, *requests) })
	os.Exit(code) //nolint:forbidigo // this is a main
}

var held = "/v2/a/blobs/" + stores.Digest(1)

type bench struct {
	ctx           context.Context
	dir           string
	listen, admin string
	store         *stores.Stores
	pid           int
}

func run(ctx context.Context, dir string, requests int) error {
	b := &bench{ctx: ctx, dir: dir, store: stores.New(1)}
	defer b.store.Close()
	if err := b.store.Share(ctx, 0, 100); err != nil {
		return err
	}
	stop, err := b.start(b.store.URL)
	if err != nil {
		return err
	}
	defer stop()
	before, err := b.honest(5 * time.Second)
	if err != nil {
		return err
	}
	rss, err := b.rss("VmRSS")
	if err != nil {
		return err
	}
	out := []figures.Figure{{Name: "flood.before.honest_p99", Value: before, Unit: "ms"}, {Name: "flood.before.memory", Value: rss, Unit: "MiB"}}
	for _, phase := range []struct{ name, networks string }{{"one_client", "1"}, {"many_clients", "0"}} {
		f, err := b.flood("flood."+phase.name, phase.networks, requests/2)
		if err != nil {
			return err
		}
		out = append(out, f...)
	}
	return figures.Write(os.Stdout, filepath.Join("bench", "out", "flood.json"), out)
}

func (b *bench) start(origin string) (stop func(), err error) {
	binary, err := process.Build(b.ctx, b.dir)
	if err != nil {
		return nil, err
	}
	if b.listen, err = process.FreeAddr(); err != nil {
		return nil, err
	}
	if b.admin, err = process.FreeAddr(); err != nil {
		return nil, err
	}
	config := fmt.Sprintf(`version: 1
listen: %q
admin: %q
location: gcp/us-central1
client: {behind: {header: X-Forwarded-For, entry: 1}}
log: {requests: 0, level: error}
ranges: {overrides: [{cidr: 3.0.0.0/8, place: aws/us-east-1}]}
upstreams: [{name: us, url: %[3]q, insecure: true, place: gcp/us-central1, canonical: true}]
stores: [{name: s3, place: aws/us-east-1, serves: [aws], insecure: true, url: "%[3]s/s0/b/{digest}"}]
`, b.listen, b.admin, origin)
	file := filepath.Join(b.dir, "config.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	cmd := process.Command(b.ctx, binary, "serve", "--config", file)
	stop, err = process.Start(cmd)
	if err != nil {
		return nil, err
	}
	b.pid = cmd.Process.Pid
	return stop, process.Until(b.ctx, 20*time.Second, 10*time.Millisecond, func() bool {
		status, _, err := process.Get(b.ctx, "http://"+b.listen+held, "3.200.0.1")
		return err == nil && status == http.StatusTemporaryRedirect
	})
}

// honest returns the 99th percentile, in ms, of requests for a blob that the store holds: one at a time, each from a
// new client.
func (b *bench) honest(d time.Duration) (float64, error) {
	var took []float64
	for i, end := 0, time.Now().Add(d); time.Now().Before(end); i++ {
		begin := time.Now()
		status, _, err := process.Get(b.ctx, "http://"+b.listen+held, fmt.Sprintf("3.201.%d.%d", i>>8&0xff, i&0xff))
		if err != nil || status != http.StatusTemporaryRedirect {
			return 0, fmt.Errorf("an honest client got %d: %w", status, err)
		}
		took = append(took, float64(time.Since(begin).Microseconds())/1000)
	}
	slices.Sort(took)
	return took[len(took)*99/100], nil
}

func (b *bench) flood(name, networks string, requests int) ([]figures.Figure, error) {
	lua := filepath.Join(b.dir, "flood.lua")
	if err := os.WriteFile(lua, script, 0o600); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	// wrk only counts seconds. The context stops it when it has sent enough.
	wrk := process.Command(ctx, "wrk", "-t", "1", "-c", "64", "-d", "1h", "-s", lua, "http://"+b.listen, "--", networks)
	var said bytes.Buffer
	wrk.Stdout, wrk.Stderr = &said, &said
	sent, err := b.metric("ociproxy_redirects_total")
	if err != nil {
		return nil, err
	}
	asked, begin := b.store.Asked.Load(), time.Now()
	if err := wrk.Start(); err != nil {
		return nil, err
	}
	var p99, goroutines, done float64
	for done < float64(requests) {
		p, err := b.honest(2 * time.Second)
		if err != nil {
			return nil, errors.Join(err, errors.New(said.String()))
		}
		p99 = max(p99, p)
		g, err := b.metric("go_goroutines")
		if err != nil {
			return nil, err
		}
		goroutines = max(goroutines, g)
		now, err := b.metric("ociproxy_redirects_total")
		if err != nil {
			return nil, err
		}
		done = now - sent
	}
	took := time.Since(begin).Seconds()
	cancel()
	_ = wrk.Wait() // killed
	peak, err := b.rss("VmHWM")
	if err != nil {
		return nil, err
	}
	return []figures.Figure{
		{Name: name + ".requests", Value: done, Unit: "1"},
		{Name: name + ".rps", Value: done / took, Unit: "1/s"},
		{Name: name + ".outbound", Value: float64(b.store.Asked.Load() - asked), Unit: "1"},
		{Name: name + ".outbound_rps", Value: float64(b.store.Asked.Load()-asked) / took, Unit: "1/s"},
		{Name: name + ".goroutines_peak", Value: goroutines, Unit: "1"},
		{Name: name + ".memory_peak", Value: peak, Unit: "MiB"},
		{Name: name + ".honest_p99_worst", Value: p99, Unit: "ms"},
	}, nil
}

// metric returns the sum of a metric's series.
func (b *bench) metric(name string) (float64, error) {
	req, err := http.NewRequestWithContext(b.ctx, http.MethodGet, "http://"+b.admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, m := range regexp.MustCompile(`(?m)^`+name+`(?:\{[^}]*\})? ([0-9.e+]+)$`).FindAllSubmatch(body, -1) {
		v, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			return 0, err
		}
		sum += v
	}
	return sum, nil
}

// rss reads a size of the process from /proc, in MiB.
func (b *bench) rss(key string) (float64, error) { return process.Memory(b.pid, key) }
