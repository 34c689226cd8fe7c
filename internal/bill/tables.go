package bill

import (
	"embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"ociproxy/internal/config"
	"ociproxy/internal/csvtable"
	"ociproxy/internal/price"
)

//go:embed data/*.csv
var files embed.FS

// tables are the embedded tables.
type tables struct {
	sources map[string]source
	cells   map[cellKey]cell
	scopes  map[[2]string]Scope // by provider and item
	free    []Allowance
	terms   map[string]Terms
}

// source says where a row comes from, and of when it is.
type source struct{ date, what string }

type cellKey struct{ provider, item, from, to string }

type cell struct {
	ladder price.Ladder
	source source
	note   string
}

// Scope says in which quantities the tiers of a ladder count together.
type Scope struct {
	Provider, Item string
	By             string // source, client, both or all: which regions or areas have a ladder of their own
	Over           string // payer or account: whose quantities add up
	Estimate       bool
	Source, Date   string
	Note           string // what else counts, and is not seen here
}

// Allowance is what a provider does not bill a payer in a month.
type Allowance struct {
	Provider string
	Items    []string // that use it up, together
	Quantity float64  // in the base of the items
	Within   bool     // the limits of the ladder count the allowance
	Estimate bool
	Source   string
	Date     string
	Note     string
}

// Terms are the conditions of a provider's storage.
type Terms struct {
	Provider string
	Days     int // an object is billed for so many days at the least
	Estimate bool
	Source   string
	Date     string
	Note     string
}

// embedded parses the tables at first use.
var embedded = sync.OnceValues(func() (*tables, error) { return readTables(files.ReadFile) })

func readTables(read func(name string) ([]byte, error)) (*tables, error) {
	t := &tables{sources: map[string]source{}, cells: map[cellKey]cell{}, scopes: map[[2]string]Scope{}, terms: map[string]Terms{}}
	for _, file := range []struct {
		name, columns string
		row           func(f []string) error
	}{
		{"sources", "id date what", t.source},
		{"prices", "provider item from to unit cents confidence source note", t.price},
		{"scopes", "provider item by over confidence source note", t.scope},
		{"free", "provider items quantity tiers confidence source note", t.allowance},
		{"terms", "provider days confidence source note", t.term},
	} {
		body, err := read("data/" + file.name + ".csv")
		if err != nil {
			return nil, err
		}
		if err := csvtable.Read(body, strings.Fields(file.columns), file.row); err != nil {
			return nil, fmt.Errorf("%s.csv: %w", file.name, err)
		}
	}
	return t, nil
}

func (t *tables) source(f []string) error {
	if f[0] == "" || f[1] == "" || f[2] == "" {
		return fmt.Errorf("a source has an id, a date and says what it is")
	}
	t.sources[f[0]] = source{f[1], f[2]}
	return nil
}

// origin reads the columns confidence and source. An estimate of the source "general" or "rule" needs a note: why.
func (t *tables) origin(confidence, id string) (estimate bool, s source, err error) {
	s, ok := t.sources[id]
	switch {
	case !ok:
		err = fmt.Errorf("unknown source %q", id)
	case confidence != "sourced" && confidence != "estimate":
		err = fmt.Errorf("confidence %q: want sourced or estimate", confidence)
	case confidence == "sourced" && (id == "general" || id == "rule"):
		err = fmt.Errorf("%s is no source that can be read: want estimate", id)
	}
	return confidence == "estimate", s, err
}

func (t *tables) price(f []string) error {
	estimate, src, err := t.origin(f[6], f[7])
	if err != nil {
		return err
	}
	base := config.BillItem(f[1]).Base()
	unit, err := price.ParseUnit(f[4])
	switch {
	case base == "":
		return fmt.Errorf("unknown item %q", f[1])
	case err != nil:
		return err
	case unit.Base() != base:
		return fmt.Errorf("unit %q: %s is billed by %s", f[4], f[1], base)
	}
	ladder, err := price.ParseLadder(unit, f[5])
	if err != nil {
		return err
	}
	for i := range ladder.Tiers {
		ladder.Tiers[i].Estimate = ladder.Tiers[i].Estimate || estimate
	}
	k := cellKey{f[0], f[1], f[2], f[3]}
	if _, dup := t.cells[k]; dup {
		return fmt.Errorf("the price is there twice")
	}
	t.cells[k] = cell{ladder, src, f[8]}
	return nil
}

func (t *tables) scope(f []string) error {
	estimate, src, err := t.origin(f[4], f[5])
	switch {
	case err != nil:
		return err
	case !slices.Contains([]string{"source", "client", "both", "all"}, f[2]):
		return fmt.Errorf("by %q: want source, client, both or all", f[2])
	case f[3] != "payer" && f[3] != "account":
		return fmt.Errorf("over %q: want payer or account", f[3])
	}
	t.scopes[[2]string{f[0], f[1]}] = Scope{f[0], f[1], f[2], f[3], estimate, src.what, src.date, f[6]}
	return nil
}

func (t *tables) allowance(f []string) error {
	estimate, src, err := t.origin(f[4], f[5])
	if err != nil {
		return err
	}
	q, err := price.ParseQuantity(f[2])
	items := strings.Fields(f[1])
	switch {
	case err != nil:
		return err
	case len(items) == 0:
		return fmt.Errorf("no item")
	case f[3] != "before" && f[3] != "within":
		return fmt.Errorf("tiers %q: want before or within", f[3])
	}
	for _, item := range items {
		base := config.BillItem(item).Base()
		if base == price.GiBMonth.Base() {
			base = price.GiB.Base() // so many bytes for the whole month
		}
		switch {
		case base == "":
			return fmt.Errorf("unknown item %q", item)
		case base != q.Unit.Base():
			return fmt.Errorf("quantity %q: %s is not counted in %s", f[2], item, q.Unit.Base())
		}
	}
	t.free = append(t.free, Allowance{f[0], items, q.Base(), f[3] == "within", estimate, src.what, src.date, f[6]})
	return nil
}

func (t *tables) term(f []string) error {
	estimate, src, err := t.origin(f[2], f[3])
	if err != nil {
		return err
	}
	days, err := strconv.Atoi(f[1])
	if err != nil || days < 0 {
		return fmt.Errorf("days %q: want a number of days", f[1])
	}
	t.terms[f[0]] = Terms{f[0], days, estimate, src.what, src.date, f[4]}
	return nil
}

// find returns the cell of a provider's item: the exact ends first, then any end. Old versions and logs cost as much as
// what else is stored.
func (t *tables) find(m Meter) (cell, bool) {
	item := m.Item
	if item == Noncurrent || item == LogStorage {
		item = Stored
	}
	for _, from := range []string{m.From, ""} {
		for _, to := range []string{m.To, ""} {
			if c, ok := t.cells[cellKey{m.Provider, item, from, to}]; ok {
				return c, true
			}
		}
	}
	return cell{}, false
}
