// Command start measures how long oci-proxy takes from its start to the first answered request, with all real feeds,
// and with the inventories of 33 stores in its cache; a bare Go server is measured for comparison. It also measures how
// long the proxy still sends clients to a store that died, while clients whose download failed try again as container
// runtimes do.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ociproxy/bench/figures"
	"ociproxy/bench/process"
	"ociproxy/bench/stores"
	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/proxy"
)

func main() {
	rounds := flag.Int("rounds", 9, "interleaved rounds")
	digests := flag.Int("digests", 100_000, "digests in the inventories")
	bare := flag.String("bare", "", "run the bare server on this address")
	flag.Parse()
	if *bare != "" {
		fmt.Fprintln(os.Stderr, "bench start:", serveBare(*bare))
		os.Exit(1) //nolint:forbidigo // this is a main
	}
	code := process.Run("start", func(ctx context.Context, dir string) error { return run(ctx, dir, *rounds, *digests) })
	os.Exit(code) //nolint:forbidigo // this is a main
}

const blobOf = "/v2/a/blobs/"

func serveBare(addr string) error {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return err
	}
	return proxy.HTTPServer(config.Default().Limits, http.RedirectHandler("https://bucket.example/", http.StatusTemporaryRedirect)).Serve(l)
}

func run(ctx context.Context, dir string, rounds, digests int) error {
	world := stores.New(33)
	defer world.Close()
	if err := world.Share(ctx, 0, digests); err != nil {
		return err
	}
	binary, err := process.Build(ctx, dir)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	addr, err := process.FreeAddr()
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, []byte(worldConfig(addr, dir, world)), 0o600); err != nil {
		return err
	}
	ours := []string{binary, "serve", "--config", file}
	// The first start fills the cache.
	if _, err := toFirstAnswer(ctx, addr, true, ours...); err != nil {
		return err
	}
	var ratios, took []float64
	for range rounds {
		a, err := toFirstAnswer(ctx, addr, true, ours...)
		if err != nil {
			return err
		}
		b, err := toFirstAnswer(ctx, addr, false, self, "-bare", addr)
		if err != nil {
			return err
		}
		ratios, took = append(ratios, float64(a)/float64(b)), append(took, float64(a.Milliseconds()))
	}
	death, failed, err := deathToLastRedirect(ctx, dir, binary)
	if err != nil {
		return err
	}
	return figures.Write(os.Stdout, filepath.Join("bench", "out", "start.json"), []figures.Figure{
		{Name: "start.first_answer.vs_bare", Value: median(ratios), Unit: "ratio"},
		{Name: "start.first_answer", Value: median(took), Unit: "ms"},
		{Name: "start.death_to_last_redirect", Value: death.Seconds(), Unit: "s"},
		{Name: "start.death.failed_downloads", Value: float64(failed), Unit: "1"},
	})
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// toFirstAnswer starts a program and measures the time until it answers. With listed, the answer must come from an
// inventory.
func toFirstAnswer(ctx context.Context, addr string, listed bool, args ...string) (time.Duration, error) {
	begin := time.Now()
	stop, err := process.Start(process.Command(ctx, args[0], args[1:]...))
	if err != nil {
		return 0, err
	}
	defer stop()
	err = process.Until(ctx, 30*time.Second, time.Millisecond, func() bool {
		status, location, err := process.Get(ctx, "http://"+addr+blobOf+stores.Digest(1), "3.0.0.7")
		return err == nil && status == http.StatusTemporaryRedirect && (!listed || strings.Contains(location, "/s0/"))
	})
	return time.Since(begin), err
}

func worldConfig(addr, dir string, world *stores.Stores) string {
	var places []string
	for _, s := range place.Embedded().Sites() {
		if s.Partition == "aws" && s.Region != "us-east-1" {
			places = append(places, s.Place.String())
		}
	}
	places = append([]string{"aws/us-east-1"}, places...)
	feeds, err := filepath.Abs(filepath.Join("..", "shared", "data", "ranges"))
	if err != nil {
		feeds = ""
	}
	return fmt.Sprintf(`version: 1
listen: %q
admin: ""
location: gcp/us-central1
client: {behind: {header: X-Forwarded-For, entry: 1}}
log: {requests: 0, level: error}
ranges:
  cache: %q
  overrides: [{cidr: 3.0.0.0/8, place: aws/us-east-1}]
  feeds:
    - {provider: aws, file: %[3]q}
    - {provider: gcp, file: %[4]q}
    - {provider: azure, file: %[5]q}
upstreams: [{name: us, url: "https://us-central1-docker.pkg.dev", place: gcp/us-central1, canonical: true}]
`, addr, filepath.Join(dir, "cache"), filepath.Join(feeds, "aws-ip-ranges.json"), filepath.Join(feeds, "gcp-cloud.json"),
		filepath.Join(feeds, "azure-servicetags.json")) + world.Config(places, time.Minute)
}

// deathToLastRedirect stops one of two stores while clients retry failed downloads. It returns the time from then to
// the last redirect to the dead store, and the number of failed downloads.
func deathToLastRedirect(ctx context.Context, dir, binary string) (time.Duration, int, error) {
	dying, well := stores.New(1), stores.New(1)
	defer well.Close()
	for _, s := range []*stores.Stores{dying, well} {
		if err := s.Share(ctx, 0, 1000); err != nil {
			return 0, 0, err
		}
	}
	addr, err := process.FreeAddr()
	if err != nil {
		return 0, 0, err
	}
	text := fmt.Sprintf(`version: 1
listen: %q
admin: ""
location: gcp/us-central1
client: {behind: {header: X-Forwarded-For, entry: 1}}
log: {requests: 0, level: error}
ranges: {overrides: [{cidr: 3.0.0.0/8, place: aws/us-east-1}]}
upstreams: [{name: us, url: %q, insecure: true, place: gcp/us-central1, canonical: true}]
stores:
  - {name: s0, place: aws/us-east-1, serves: [aws], insecure: true, url: "%[3]s/s0/b/{digest}", inventory: {url: "%[3]s/s0/inventory/"}}
  - {name: other, place: aws/us-east-2, serves: [aws], insecure: true, url: "%[2]s/s0/b/{digest}"}
`, addr, well.URL, dying.URL)
	file := filepath.Join(dir, "death.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return 0, 0, err
	}
	stop, err := process.Start(process.Command(ctx, binary, "serve", "--config", file))
	if err != nil {
		return 0, 0, err
	}
	defer stop()
	toDying := func(i int) (bool, error) {
		_, location, err := process.Get(ctx, "http://"+addr+blobOf+stores.Digest(i%1000), fmt.Sprintf("3.%d.%d.7", i>>8&0xff, i&0xff))
		return strings.HasPrefix(location, dying.URL), err
	}
	ready := func() bool { // the inventory is read: answers of the store no longer matter
		status, _, err := process.Get(ctx, "http://"+addr+"/-/ready", "3.0.0.7")
		if err != nil || status != http.StatusOK {
			return false
		}
		sent, err := toDying(0)
		return sent && err == nil
	}
	if err := process.Until(ctx, 30*time.Second, 10*time.Millisecond, ready); err != nil {
		return 0, 0, err
	}
	dying.CloseClientConnections()
	dying.Close()
	death, last := time.Now(), time.Now()
	asked, failed := 0, 0
	err = process.Until(ctx, 2*time.Minute, 20*time.Millisecond, func() bool {
		asked++
		if sent, err := toDying(asked); err == nil && sent {
			last = time.Now()
			failed++
			_, _ = toDying(asked) // the runtime tries again
		}
		return time.Since(last) > 15*time.Second
	})
	if err != nil {
		return 0, 0, errors.New("the dead store is sent to for ever")
	}
	return last.Sub(death), failed, nil
}
