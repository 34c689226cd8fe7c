// Command serve compares oci-proxy with servers that decide nothing: a bare net/http handler in the same
// http.Server with the same response headers, a naive one (http.Redirect in a default server), and nginx.
//
// Each runs on one core and wrk on another, one after the other in many rounds; a figure is the median of the
// rounds' ratios, so that a machine whose speed drifts does not decide it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"time"

	"ociproxy/bench/figures"
)

func main() {
	rounds := flag.Int("rounds", 11, "interleaved rounds")
	seconds := flag.Int("seconds", 3, "seconds of load per server and round")
	connections := flag.Int("connections", 64, "wrk's connections")
	child := flag.String("child", "", "run one of the servers: bare, naive")
	addr := flag.String("addr", "", "the child's address")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if *child != "" {
		err = serveChild(*child, *addr)
	} else {
		err = run(ctx, *rounds, *seconds, *connections)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench serve:", err)
		os.Exit(1) //nolint:forbidigo // this is a main
	}
}

func run(ctx context.Context, rounds, seconds, connections int) error {
	dir, err := os.MkdirTemp("", "bench-serve")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	servers, stop, err := startAll(ctx, dir)
	defer stop()
	if err != nil {
		return err
	}
	results := map[string][]result{}
	for i := range rounds + 1 {
		for _, s := range servers {
			for path, target := range s.targets {
				r, err := load(ctx, target, seconds, connections)
				if err != nil {
					return fmt.Errorf("%s: %w", s.name, err)
				}
				if i > 0 { // the first round warms up
					results[s.name+path] = append(results[s.name+path], r)
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

// compare turns the rounds into medians of ratios.
func compare(results map[string][]result) ([]figures.Figure, error) {
	median := func(f func(i int) float64) float64 {
		var v []float64
		for i := range results["bare"] {
			v = append(v, f(i))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	if len(results["bare"]) == 0 {
		return nil, errors.New("no rounds")
	}
	var out []figures.Figure
	add := func(name, unit string, f func(i int) float64) {
		out = append(out, figures.Figure{Name: name, Value: median(f), Unit: unit})
	}
	for _, kind := range []string{"blob", "tag"} {
		proxy := results["proxy"+kind]
		for _, other := range []string{"bare", "naive", "nginx"} {
			if len(results[other]) == len(proxy) {
				add("serve."+kind+".vs_"+other, "ratio", func(i int) float64 { return proxy[i].rps / results[other][i].rps })
			}
		}
		add("serve."+kind+".p99_vs_bare", "ratio", func(i int) float64 { return float64(proxy[i].p99) / float64(results["bare"][i].p99) })
		add("serve."+kind+".rps", "1/s", func(i int) float64 { return proxy[i].rps })
		add("serve."+kind+".p99", "ms", func(i int) float64 { return float64(proxy[i].p99) / float64(time.Millisecond) })
	}
	add("serve.bare.rps", "1/s", func(i int) float64 { return results["bare"][i].rps })
	return out, nil
}
