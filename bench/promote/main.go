// Command promote measures how long it takes to check and plan a promotion. The generated tree has 100 projects with 20
// destinations and 5 images each: first with 100 digests per image (1 M promotions), then with 1,000 (10 M). The
// listings are in memory. Each measurement runs in a process of its own, so the peak memory includes all that it holds:
// manifests, plan, and the listings that it hands out.
//
// Then it counts the requests that a promotion sends to registries. With the argument requests, it does only this.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"ociproxy/bench/figures"
	"ociproxy/bench/process"
)

func main() {
	args := os.Args[1:]
	if len(args) == 3 && args[0] == "measure" {
		if err := measure(context.Background(), args[1], args[2]); err != nil {
			fmt.Fprintf(os.Stderr, "bench promote: %v\n", err)
			os.Exit(1) //nolint:forbidigo // this is a main
		}
		return
	}
	os.Exit(process.Run("promote", func(ctx context.Context, dir string) error { //nolint:forbidigo // this is a main
		if err := run(ctx, dir, args); err != nil {
			return fmt.Errorf("%w\nhint: run it from the project's root", err)
		}
		return nil
	}))
}

func run(ctx context.Context, dir string, args []string) error {
	if len(args) == 1 && args[0] == "requests" {
		asked, err := requests(ctx, dir)
		if err != nil {
			return err
		}
		return figures.Write(os.Stdout, filepath.Join("bench", "out", "promote-requests.json"), asked)
	}
	var all []figures.Figure
	perEdge := map[string]float64{}
	for _, size := range []struct {
		name    string
		digests int
	}{{"1m", 100}, {"10m", 1000}} {
		tree := filepath.Join(dir, size.name)
		if err := generate(tree, size.digests); err != nil {
			return err
		}
		for _, world := range []string{"empty", "silent", "done"} {
			got, err := process.Measure(ctx, "measure", tree, world)
			if err != nil {
				return err
			}
			name := "promote.plan_" + size.name
			if world != "empty" {
				name += "_" + world
			}
			all = append(all,
				figures.Figure{Name: name + ".seconds", Value: got["seconds"], Unit: "s"},
				figures.Figure{Name: name + ".check_seconds", Value: got["check"], Unit: "s"},
				figures.Figure{Name: name + ".cpu_seconds", Value: got["cpu"], Unit: "s"}, // for a busy machine
				figures.Figure{Name: name + ".peak_mib", Value: got["peak"], Unit: "MiB"},
				figures.Figure{Name: name + ".asked", Value: got["asked"], Unit: "1"}, // requests to registries
				figures.Figure{Name: name + ".edges", Value: got["edges"], Unit: "1"},
			)
			perEdge[name] = got["cpu"] / got["edges"]
		}
	}
	// Growth of 1 is linear.
	all = append(all, figures.Figure{Name: "promote.plan.growth", Value: perEdge["promote.plan_10m"] / perEdge["promote.plan_1m"], Unit: "1"})
	asked, err := requests(ctx, dir)
	if err != nil {
		return err
	}
	return figures.Write(os.Stdout, filepath.Join("bench", "out", "promote.json"), append(all, asked...))
}
