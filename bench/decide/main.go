// Command decide measures the pure decision, and how long its snapshot takes to build. The config is
// examples/kubernetes.yaml (33 buckets, 22 registries, a CDN), with every place of the map.
package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"ociproxy/bench/figures"
	"ociproxy/internal/config"
	"ociproxy/internal/oci"
	"ociproxy/internal/place"
	"ociproxy/internal/route"
	"ociproxy/internal/snapshot"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench decide:", err)
		os.Exit(1) //nolint:forbidigo // this is a main
	}
}

const (
	blobPath = "/v2/kube-apiserver/blobs/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	tagPath  = "/v2/kube-apiserver/manifests/v1.36.3"
)

func run() error {
	cfg, err := config.Load(filepath.Join("examples", "kubernetes.yaml"))
	if err != nil {
		return err
	}
	snap, err := snapshot.Of(cfg)
	if err != nil {
		return err
	}
	client := route.Client{Addr: netip.MustParseAddr("192.0.2.7"), Place: place.Place{Cloud: "aws", Region: "eu-central-1"}}
	all := snap.All()
	hit, absent := &route.State{Usable: all, Holds: all}, &route.State{Usable: all}
	var out []figures.Figure
	for _, b := range []struct {
		name, path string
		state      *route.State
	}{
		{"decide.blob.hit", blobPath, hit},
		{"decide.blob.absent_everywhere", blobPath, absent},
		{"decide.tag", tagPath, hit},
	} {
		req, err := oci.Parse(b.path, "")
		if err != nil {
			return err
		}
		r := testing.Benchmark(func(tb *testing.B) {
			tb.ReportAllocs()
			for tb.Loop() {
				route.Decide(&req, &client, snap, b.state)
			}
		})
		if r.N == 0 {
			return errors.New("benchmark " + b.name + " did not run")
		}
		out = append(out,
			figures.Figure{Name: b.name, Value: float64(r.T.Nanoseconds()) / float64(r.N), Unit: "ns"},
			figures.Figure{Name: b.name + ".allocs", Value: float64(r.AllocsPerOp()), Unit: "1"})
	}
	r := testing.Benchmark(func(tb *testing.B) {
		for tb.Loop() {
			if _, err := snapshot.Of(cfg); err != nil {
				tb.Fatal(err)
			}
		}
	})
	out = append(out,
		figures.Figure{Name: "decide.snapshot.build", Value: float64(r.T.Microseconds()) / float64(r.N) / 1000, Unit: "ms"},
		figures.Figure{Name: "decide.snapshot.candidates", Value: float64(len(snap.Candidates)), Unit: "1"},
		figures.Figure{Name: "decide.snapshot.places", Value: float64(len(snap.Places())), Unit: "1"})
	return figures.Write(os.Stdout, filepath.Join("bench", "out", "decide.json"), out)
}
