package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"ociproxy/internal/place"
	"ociproxy/internal/route"
)

func main() {
	if err := run(filepath.Join("..", "shared", "data", "latency"), os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "routing: %v\nhint: run it from the project's root, with the measurements in ../shared/data/latency\n", err)
		os.Exit(1)
	}
}

func run(dir string, out io.Writer) error {
	figures, err := evaluate(dir)
	if err != nil {
		return err
	}
	for _, f := range figures {
		fmt.Fprintf(out, "%s %.3f ms\n", f.name, f.ms)
	}
	return nil
}

// figure is one line of the output.
type figure struct {
	name string
	ms   float64
}

const defaultWeight = 5 // ms per US cent and GB, the configuration's default

// evaluate measures everything there is to print.
func evaluate(dir string) ([]figure, error) {
	m := place.Embedded()
	aws, err := readAWS(filepath.Join(dir, "cloudping-p50-1y-20250529.json"), m)
	if err != nil {
		return nil, err
	}
	azure, err := readAzure(filepath.Join(dir, "azure-latency-p50-2025-06.csv"), m)
	if err != nil {
		return nil, err
	}
	var figures []figure
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
		figures = append(figures, figure{e.name, e.data.extra(prefer)})
	}
	return append(figures,
		figure{"routing.aws.great_circle.extra_ms", aws.extra(byGreatCircle(m, aws.regions))},
		figure{"routing.azure.great_circle.extra_ms", azure.extra(byGreatCircle(m, azure.regions))},
	), nil
}
