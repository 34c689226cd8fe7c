package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"ociproxy/internal/place"
	"ociproxy/internal/route"
)

func main() {
	if err := run(filepath.Join("..", "shared", "data", "latency"), filepath.Join("bench", "out", "routing.json"), os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "routing: %v\nhint: run it from the project's root, with the measurements in ../shared/data/latency\n", err)
		os.Exit(1) //nolint:forbidigo // this is a main
	}
}

// run evaluates the measurements in dir, prints the figures and writes them
// to file as JSON.
func run(dir, file string, out io.Writer) error {
	figures, err := evaluate(dir)
	if err != nil {
		return err
	}
	for _, f := range figures {
		fmt.Fprintf(out, "%s %.3f %s\n", f.Name, f.Value, f.Unit)
	}
	body, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, append(body, '\n'), 0o644)
}

// figure is one line of the output.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
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
		o := e.data.draw(m, prefer)
		figures = append(figures, figure{e.name, o.extra, "ms"})
		if e.matrix == nil {
			figures = append(figures, figure{strings.Replace(e.name, "extra_ms", "cents", 1), o.cents, "cents/GB"})
		}
	}
	return append(figures,
		figure{"routing.aws.great_circle.extra_ms", aws.draw(m, byGreatCircle(m, aws.regions)).extra, "ms"},
		figure{"routing.azure.great_circle.extra_ms", azure.draw(m, byGreatCircle(m, azure.regions)).extra, "ms"},
		figure{"routing.aws.residual_ms", aws.residual(m), "ms"},
		figure{"routing.azure.residual_ms", azure.residual(m), "ms"},
	), nil
}
