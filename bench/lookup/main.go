// Command lookup measures the table of all real feeds: how long it takes to find an address's entry, and how long it
// takes to build the table. It reads the feeds from ../shared/data/ranges.
package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ociproxy/bench/figures"
	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/ranges"
)

func main() {
	if err := run(filepath.Join("..", "shared", "data", "ranges")); err != nil {
		fmt.Fprintf(os.Stderr, "bench lookup: %v\nhint: run it from the project's root, with the feeds in ../shared/data/ranges\n", err)
		os.Exit(1) //nolint:forbidigo // this is a main
	}
}

func run(dir string) error {
	file := func(name string) string { return filepath.Join(dir, name) }
	cfg := config.Ranges{Refresh: time.Hour, Feeds: []config.Feed{
		{Provider: config.AWS, File: file("aws-ip-ranges.json")},
		{Provider: config.GCP, File: file("gcp-cloud.json")},
		{Provider: config.Azure, File: file("azure-servicetags.json")},
		{Provider: config.Oracle, File: file("oracle-public_ip_ranges.json")},
		{Provider: config.Exoscale, File: file("exoscale-prefixes.json")},
		{Provider: config.Vultr, File: file("vultr-geofeed.json")},
		{Provider: config.Geofeed, Cloud: "digitalocean", File: file("digitalocean-geofeed.csv")},
		{Provider: config.Geofeed, Cloud: "linode", File: file("linode-geofeed.csv")},
	}}
	begin := time.Now()
	r, err := ranges.New(cfg, place.Embedded(), ranges.Options{})
	if err != nil {
		return err
	}
	start := time.Since(begin)
	for _, f := range r.Status() {
		if f.LastError != "" {
			return fmt.Errorf("%s: %s", f.Name, f.LastError)
		}
	}
	table := r.Table()
	rng := rand.New(rand.NewPCG(1, 2))
	entries := table.Entries()
	addrs := make([]netip.Addr, 4096)
	for i := range addrs {
		addrs[i] = entries[rng.IntN(len(entries))].Prefix.Addr()
	}
	b := testing.Benchmark(func(tb *testing.B) {
		tb.ReportAllocs()
		i := 0
		for tb.Loop() {
			table.Lookup(addrs[i&4095])
			i++
		}
	})
	if b.N == 0 {
		return errors.New("the benchmark did not run")
	}
	return figures.Write(os.Stdout, filepath.Join("bench", "out", "lookup.json"), []figures.Figure{
		{Name: "lookup.ns", Value: float64(b.T.Nanoseconds()) / float64(b.N), Unit: "ns"},
		{Name: "lookup.allocs", Value: float64(b.AllocsPerOp()), Unit: "1"},
		{Name: "lookup.prefixes", Value: float64(len(entries)), Unit: "1"},
		{Name: "lookup.start", Value: float64(start.Microseconds()) / 1000, Unit: "ms"},
	})
}
