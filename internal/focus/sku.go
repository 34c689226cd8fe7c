package focus

import (
	"cmp"
	_ "embed" // the table of meters
	"encoding/csv"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"ociproxy/internal/price"
)

//go:embed data/skus.csv
var skuTable string

//go:embed data/sources.csv
var skuSources string

// Meter is a row of the table of meters: what a meter on a bill is for.
type Meter struct {
	Provider string
	Kind     Kind
	GB       price.Unit // what the provider means by GB
	Estimate bool       // from general knowledge, not read in a source
	Source   string     // a row of data/sources.csv

	service, meter *regexp.Regexp
}

// meters are the rows of the embedded table.
var meters = sync.OnceValue(func() []Meter {
	out, err := parseMeters(skuTable, skuSources)
	if err != nil {
		panic(err) // a test reads it
	}
	return out
})

func parseMeters(table, sources string) ([]Meter, error) {
	known := map[string]bool{}
	rows, err := readTable(sources)
	if err != nil {
		return nil, fmt.Errorf("sources.csv: %w", err)
	}
	for _, r := range rows {
		known[r[0]] = true
	}
	if rows, err = readTable(table); err != nil {
		return nil, fmt.Errorf("skus.csv: %w", err)
	}
	var out []Meter
	for i, r := range rows {
		if len(r) != 7 {
			return nil, fmt.Errorf("skus.csv row %d: %d fields", i+1, len(r))
		}
		m := Meter{Provider: r[0], Kind: Kind(r[3]), GB: price.Unit(r[4]), Estimate: r[5] == "estimate", Source: r[6]}
		var failed error
		m.service, err = regexp.Compile(r[1])
		m.meter, failed = regexp.Compile(r[2])
		switch err = cmp.Or(err, failed); {
		case err != nil:
			return nil, fmt.Errorf("skus.csv row %d: %w", i+1, err)
		case !slices.Contains(Kinds(), m.Kind):
			return nil, fmt.Errorf("skus.csv row %d: unknown kind %q", i+1, r[3])
		case m.GB != price.GB && m.GB != price.GiB:
			return nil, fmt.Errorf("skus.csv row %d: %q is no size of a GB", i+1, r[4])
		case r[5] != "sourced" && r[5] != "estimate":
			return nil, fmt.Errorf("skus.csv row %d: unknown confidence %q", i+1, r[5])
		case !known[m.Source]:
			return nil, fmt.Errorf("skus.csv row %d: unknown source %q", i+1, m.Source)
		}
		out = append(out, m)
	}
	return out, nil
}

// readTable returns the rows of an embedded table, without its header.
func readTable(s string) ([][]string, error) {
	r := csv.NewReader(strings.NewReader(s))
	r.Comment = '#'
	rows, err := r.ReadAll()
	if err != nil || len(rows) == 0 {
		return nil, cmp.Or(err, fmt.Errorf("no rows"))
	}
	return rows[1:], nil
}

// maxClasses bounds how many meters are remembered. An account has some thousands.
const maxClasses = 1 << 15

// classes finds the meter of a row, and remembers what it found.
type classes struct{ known map[classKey]*Meter }

type classKey struct{ provider, service, meter string }

// of returns what the row is for, or nil if the table does not know.
func (c *classes) of(r *Row) *Meter {
	k := classKey{provider: r.Provider, service: r.Service}
	for _, k.meter = range r.Meters {
		m, ok := c.known[k]
		if !ok {
			m = find(k)
			if len(c.known) < maxClasses {
				k := classKey{strings.Clone(k.provider), strings.Clone(k.service), strings.Clone(k.meter)}
				c.known[k] = m
			}
		}
		if m != nil {
			return m
		}
	}
	return nil
}

func find(k classKey) *Meter {
	all := meters()
	for i := range all {
		if m := &all[i]; m.Provider == k.provider && m.service.MatchString(k.service) && m.meter.MatchString(k.meter) {
			return m
		}
	}
	return nil
}
