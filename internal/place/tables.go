package place

import (
	"embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"ociproxy/internal/csvtable"
)

//go:embed data/*.csv
var files embed.FS

// rows are the embedded tables, parsed but not yet joined to a Map.
type rows struct {
	countries map[string]country
	sites     []Site
	sources   map[string]source
	prices    *prices
	cables    *cables
}

// source says where rows come from and how old they are.
type source struct{ date, what string }

// tables parses the embedded files at first use. They are part of the binary
// and a test reads every row, so a fault here is a build fault.
var tables = sync.OnceValue(func() *rows {
	r, err := readTables(files.ReadFile)
	if err != nil {
		panic("place: " + err.Error())
	}
	return r
})

// readTables parses and checks all tables.
func readTables(read func(name string) ([]byte, error)) (*rows, error) {
	r := &rows{countries: map[string]country{}, sources: map[string]source{}}
	p, c := newPrices(), newCables()
	for _, t := range []struct {
		file    string
		columns string
		row     func(f []string) error
	}{
		{"countries", "code name continent lat lon", r.country},
		{"sources", "id date what", r.source},
		{"places", "cloud region name city subdivision country lat lon status confidence partition aliases source note", r.site},
		{"hubs", "id zone lat lon", c.hub},
		{"links", "a b km", c.link},
		{"zones", "kind code zones", func(f []string) error { return c.zone(f, r.countries) }},
		{"prices", "seller kind from to unit cents confidence source", func(f []string) error { return p.row(f, r.sources) }},
		{"areas", "seller kind side area continents countries", func(f []string) error { return p.area(f, r.countries) }},
	} {
		body, err := read("data/" + t.file + ".csv")
		if err != nil {
			return nil, err
		}
		if err := csvtable.Read(body, strings.Fields(t.columns), t.row); err != nil {
			return nil, fmt.Errorf("%s.csv: %w", t.file, err)
		}
	}
	if err := c.close(r.countries); err != nil {
		return nil, err
	}
	p.close(r.countries)
	r.prices, r.cables = p, c
	return r, nil
}

func (r *rows) country(f []string) error {
	if _, dup := r.countries[f[0]]; dup {
		return fmt.Errorf("country %s is there twice", f[0])
	}
	if len(f[0]) != 2 || f[0] != strings.ToUpper(f[0]) {
		return fmt.Errorf("%q is no ISO 3166-1 alpha-2 code", f[0])
	}
	if !slices.Contains([]string{"AF", "AN", "AS", "EU", "NA", "OC", "SA"}, f[2]) {
		return fmt.Errorf("%q is no continent", f[2])
	}
	at, err := parsePoint(f[3], f[4])
	if err != nil {
		return err
	}
	r.countries[f[0]] = country{f[1], f[2], at}
	return nil
}

func (r *rows) source(f []string) error {
	if f[0] == "" || f[1] == "" || f[2] == "" {
		return fmt.Errorf("a source has an id, a date and says what it is")
	}
	r.sources[f[0]] = source{f[1], f[2]}
	return nil
}

func (r *rows) site(f []string) error {
	at, err := parsePoint(f[6], f[7])
	if err != nil {
		return err
	}
	src, ok := r.sources[f[12]]
	if !ok {
		return fmt.Errorf("unknown source %q", f[12])
	}
	s := Site{
		Place: Place{f[0], f[1]}, Spot: Spot{at, f[5]},
		Name: f[2], City: f[3], Subdivision: f[4],
		Status: f[8], Confidence: f[9], Partition: f[10],
		Aliases: strings.Fields(f[11]), Source: src.what + " (" + src.date + ")", Note: f[13],
	}
	if !slices.Contains(confidences, s.Confidence) {
		return fmt.Errorf("unknown confidence %q", s.Confidence)
	}
	if s.Partition != partition(s.Place) {
		return fmt.Errorf("partition %q, by its name it is %q", s.Partition, partition(s.Place))
	}
	r.sites = append(r.sites, s)
	return nil
}

func parsePoint(lat, lon string) (Point, error) {
	la, err := strconv.ParseFloat(lat, 64)
	if err != nil {
		return Point{}, err
	}
	lo, err := strconv.ParseFloat(lon, 64)
	if err != nil {
		return Point{}, err
	}
	p := Point{la, lo}
	return p, p.check()
}
