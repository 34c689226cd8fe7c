// Command serve compares oci-proxy with servers that decide nothing: a bare net/http handler in the same http.Server
// with the same response headers, a naive one (http.Redirect in a default server), and nginx.
//
// Each server runs on one core and wrk on another, one server after the other, in many rounds. A figure is the median
// of the rounds' ratios, so that a change in the machine's speed does not affect it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ociproxy/bench/figures"
	"ociproxy/bench/process"
)

func main() {
	rounds := flag.Int("rounds", 11, "interleaved rounds")
	seconds := flag.Int("seconds", 3, "seconds of load per server and round")
	connections := flag.Int("connections", 64, "wrk's connections")
	child := flag.String("child", "", "run one of the servers: bare, naive")
	addr := flag.String("addr", "", "the child's address")
	flag.Parse()
	if *child != "" {
		fmt.Fprintln(os.Stderr, "bench serve:", serveChild(*child, *addr))
		os.Exit(1) //nolint:forbidigo // this is a main
	}
	code := process.Run("serve", func(ctx context.Context, dir string) error { return run(ctx, dir, *rounds, *seconds, *connections) })
	os.Exit(code) //nolint:forbidigo // this is a main
}

func run(ctx context.Context, dir string, rounds, seconds, connections int) error {
	servers, stop, err := startAll(ctx, dir)
	defer stop()
	if err != nil {
		return err
	}
	lua := filepath.Join(dir, "load.lua")
	if err := os.WriteFile(lua, script, 0o600); err != nil {
		return err
	}
	results := map[string][]result{}
	for i := range rounds + 1 {
		for _, s := range servers {
			for _, kind := range []string{"blob", "tag"} {
				r, err := load(ctx, lua, target{s.addr, kind}, seconds, connections)
				if err != nil {
					return fmt.Errorf("%s: %w", s.name, err)
				}
				if i > 0 { // the first round warms up
					results[s.name+"."+kind] = append(results[s.name+"."+kind], r)
				}
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d\n", i, rounds)
	}
	out, err := compare(results)
	if err != nil {
		return err
	}
	return figures.Write(os.Stdout, filepath.Join("bench", "out", "serve.json"), out)
}

// compare turns the rounds into medians of ratios. Inventories decide "blob"; remembered HEAD answers decide
// "blob.head".
func compare(results map[string][]result) ([]figures.Figure, error) {
	var out []figures.Figure
	for _, c := range []struct{ name, ours, kind string }{
		{"serve.blob", "proxy", "blob"}, {"serve.blob.head", "head", "blob"}, {"serve.tag", "proxy", "tag"},
	} {
		ours := results[c.ours+"."+c.kind]
		if len(ours) == 0 {
			return nil, errors.New("no rounds")
		}
		median := func(f func(i int) float64) float64 {
			var v []float64
			for i := range ours {
				v = append(v, f(i))
			}
			slices.Sort(v)
			return v[len(v)/2]
		}
		for _, name := range []string{"bare", "naive", "nginx"} {
			if other := results[name+"."+c.kind]; len(other) == len(ours) {
				out = append(out, figures.Figure{Name: c.name + ".vs_" + name, Value: median(func(i int) float64 { return ours[i].rps / other[i].rps }), Unit: "ratio"})
			}
		}
		bare := results["bare."+c.kind]
		out = append(out,
			figures.Figure{Name: c.name + ".p99_vs_bare", Value: median(func(i int) float64 { return float64(ours[i].p99) / float64(bare[i].p99) }), Unit: "ratio"},
			figures.Figure{Name: c.name + ".rps", Value: median(func(i int) float64 { return ours[i].rps }), Unit: "1/s"},
			figures.Figure{Name: c.name + ".p99", Value: median(func(i int) float64 { return float64(ours[i].p99) / float64(time.Millisecond) }), Unit: "ms"},
			figures.Figure{Name: c.name + ".bare_rps", Value: median(func(i int) float64 { return bare[i].rps }), Unit: "1/s"})
	}
	return out, nil
}
