package snapshot

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/route"
)

// Latency reads the operator's round trips, the file of route.latency: lines of from,to,ms, with # comments. Nil: cfg
// names none.
func Latency(cfg *config.Config) (route.Matrix, error) {
	if cfg.Route.Latency == "" {
		return nil, nil
	}
	f, err := os.Open(cfg.Route.Latency)
	if err != nil {
		return nil, fmt.Errorf("route.latency: %w", err)
	}
	defer func() { _ = f.Close() }() // opened for reading only
	m, err := parseMatrix(f, cfg.Map())
	if err != nil {
		return nil, fmt.Errorf("route.latency: %s: %w", cfg.Route.Latency, err)
	}
	return m, nil
}

func parseMatrix(r io.Reader, world *place.Map) (route.Matrix, error) {
	in := csv.NewReader(r)
	in.Comment, in.FieldsPerRecord, in.TrimLeadingSpace = '#', 3, true
	m := route.Matrix{}
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			return m, nil
		}
		if err != nil {
			return nil, err
		}
		line, _ := in.FieldPos(0)
		var pair [2]place.Place
		for i := range pair {
			if pair[i], err = findPlace(row[i], world); err != nil {
				return nil, fmt.Errorf("line %d: %w", line, err)
			}
		}
		ms, err := strconv.ParseFloat(row[2], 64)
		if err != nil || !(ms >= 0 && ms < 60_000) {
			return nil, fmt.Errorf("line %d: %q is not a round trip in milliseconds", line, row[2])
		}
		m[pair] = ms
	}
}

func findPlace(name string, world *place.Map) (place.Place, error) {
	p, err := place.Parse(name)
	if err != nil {
		return p, err
	}
	site, ok := world.Find(p)
	if !ok {
		return p, fmt.Errorf("place %q is not on the map", name)
	}
	return site.Place, nil
}
