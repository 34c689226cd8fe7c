package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"ociproxy/internal/place"
)

// measured holds round trips in milliseconds between the regions of one cloud, and the regions that have any, sorted.
type measured struct {
	regions []place.Place
	rtt     map[[2]place.Place]float64
}

func (d *measured) add(from, to place.Place, ms float64) {
	for _, p := range []place.Place{from, to} {
		if i, ok := slices.BinarySearchFunc(d.regions, p, place.Place.Compare); !ok {
			d.regions = slices.Insert(d.regions, i, p)
		}
	}
	d.rtt[[2]place.Place{from, to}] = ms
}

// readAWS reads cloudping's JSON: region × region, TCP connect, median of a year.
func readAWS(file string, m *place.Map) (*measured, error) {
	body, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var doc struct{ Data map[string]map[string]float64 }
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	d := &measured{rtt: map[[2]place.Place]float64{}}
	for a, row := range doc.Data {
		for b, ms := range row {
			from, okA := m.Resolve("aws", a)
			to, okB := m.Resolve("aws", b)
			if !okA || !okB {
				return nil, fmt.Errorf("read %s: %s or %s is not on the map", file, a, b)
			}
			if from != to {
				d.add(from, to, ms)
			}
		}
	}
	return d, nil
}

// readAzure reads Microsoft's table of medians, which names regions by their display names. It leaves out what cannot
// be true: cells that are faster than light in glass; the Jio regions, whose rows hold a few stray numbers; and a row
// that is shorter than the header. Such a row lost a cell, so all cells after it are in the wrong column. For that
// region it uses the round trips of the other direction.
func readAzure(file string, m *place.Map) (*measured, error) {
	body, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	cr := csv.NewReader(bytes.NewReader(body))
	cr.FieldsPerRecord = -1
	rows, err := cr.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	sites := map[string]place.Site{}
	for _, s := range m.Sites() {
		if s.Cloud == "azure" {
			sites[s.Name] = s
		}
	}
	d := &measured{rtt: map[[2]place.Place]float64{}}
	short := map[string]bool{}
	for _, row := range rows {
		short[row[0]] = len(row) < len(rows[0])
	}
	for _, row := range rows[1:] {
		for j := 1; j < len(row) && !short[row[0]]; j++ {
			name := rows[0][j]
			from, okA := sites[row[0]]
			to, okB := sites[name]
			if !okA || !okB {
				return nil, fmt.Errorf("read %s: region %q or %q is not on the map", file, row[0], name)
			}
			if row[j] == "" || from.Place == to.Place || isJio(from) || isJio(to) {
				continue
			}
			ms, err := strconv.ParseFloat(row[j], 64)
			if err != nil {
				return nil, fmt.Errorf("read %s: %s to %s: %w", file, row[0], name, err)
			}
			if ms < light(from.Point, to.Point) {
				continue
			}
			d.add(from.Place, to.Place, ms)
			if short[name] {
				d.add(to.Place, from.Place, ms)
			}
		}
	}
	return d, nil
}

func isJio(s place.Site) bool { return strings.HasPrefix(s.Name, "Jio ") }

// light returns the ms that light takes through glass there and back, 10 ms per 1000 km. It takes off 100 km, because
// coordinates are those of a city.
func light(a, b place.Point) float64 { return (a.Km(b) - 100) / 100 }
