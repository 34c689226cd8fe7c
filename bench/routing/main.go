package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"ociproxy/bench/figures"
	"ociproxy/internal/place"
	"ociproxy/internal/route"
)

func main() {
	if err := run(filepath.Join("..", "shared", "data", "latency"), filepath.Join("bench", "out", "routing.json"), os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "routing: %v\nhint: run it from the project's root, with the measurements in ../shared/data/latency\n", err)
		os.Exit(1) //nolint:forbidigo // this is a main
	}
}

// run evaluates the measurements in dir, prints the figures and writes them to file as JSON.
func run(dir, file string, out io.Writer) error {
	measured, err := evaluate(dir)
	if err != nil {
		return err
	}
	sets, err := planned(dir)
	if err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	return figures.Write(out, file, append(measured, sets...))
}

const awsFile = "cloudping-p50-1y-20250529.json"

const defaultWeight = 5 // ms per (US cent/GB), the config's default

// evaluate computes all figures.
func evaluate(dir string) ([]figures.Figure, error) {
	m := place.Embedded()
	aws, err := readAWS(filepath.Join(dir, awsFile), m)
	if err != nil {
		return nil, err
	}
	azure, err := readAzure(filepath.Join(dir, "azure-latency-p50-2025-06.csv"), m)
	if err != nil {
		return nil, err
	}
	var out []figures.Figure
	for _, e := range []struct {
		name   string
		data   *measured
		weight float64
		matrix route.Matrix
	}{
		{"routing.aws.extra_ms", aws, 0, nil},
		{"routing.aws.extra_ms.weight5", aws, defaultWeight, nil},
		{"routing.aws.matrix.extra_ms", aws, 0, route.Matrix(aws.rtt)},
		{"routing.azure.extra_ms", azure, 0, nil},
		{"routing.azure.extra_ms.weight5", azure, defaultWeight, nil},
		{"routing.azure.matrix.extra_ms", azure, 0, route.Matrix(azure.rtt)},
	} {
		prefer, err := byScore(m, e.data.regions, e.weight, e.matrix)
		if err != nil {
			return nil, err
		}
		o := e.data.draw(m, prefer)
		out = append(out, figures.Figure{Name: e.name, Value: o.extra, Unit: "ms"})
		if e.matrix == nil {
			out = append(out, figures.Figure{Name: strings.Replace(e.name, "extra_ms", "cents", 1), Value: o.cents, Unit: "cents/GB"})
		}
	}
	return append(out,
		figures.Figure{Name: "routing.aws.great_circle.extra_ms", Value: aws.draw(m, byGreatCircle(m, aws.regions)).extra, Unit: "ms"},
		figures.Figure{Name: "routing.azure.great_circle.extra_ms", Value: azure.draw(m, byGreatCircle(m, azure.regions)).extra, Unit: "ms"},
		figures.Figure{Name: "routing.aws.residual_ms", Value: aws.residual(m), Unit: "ms"},
		figures.Figure{Name: "routing.azure.residual_ms", Value: azure.residual(m), Unit: "ms"},
	), nil
}
