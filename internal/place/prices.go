package place

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"ociproxy/internal/price"
)

// The kinds of price in prices.csv.
const (
	kindInternet  = "internet"
	kindSameCloud = "same-cloud"
	kindCDN       = "cdn"
)

// prices is the price table. It never changes after it has been read.
type prices struct {
	lists map[list]*priceList
	cdns  []string
}

// list identifies one price list: the seller and the kind of price.
type list struct{ seller, kind string }

// priceList holds the cells of one list and the areas into which it divides the
// world.
type priceList struct {
	unit     price.Unit // of all cells
	cells    map[ends]*cell
	from, to areas
	size     map[string]int // countries in each area of to
}

// ends identifies a transfer's two ends: each is a region, an area, or "" for
// any.
type ends struct{ from, to string }

type cell struct {
	ends   ends
	ladder price.Ladder
	source source
}

// areas maps a country to an area of a price list.
type areas map[string]string

func newPrices() *prices { return &prices{lists: map[list]*priceList{}} }

func (p *prices) list(seller, kind string) *priceList {
	k := list{seller, kind}
	l := p.lists[k]
	if l == nil {
		l = &priceList{cells: map[ends]*cell{}, from: areas{}, to: areas{}, size: map[string]int{}}
		p.lists[k] = l
	}
	return l
}

// row reads a row of prices.csv.
func (p *prices) row(f []string, sources map[string]source) error {
	src, ok := sources[f[7]]
	if !ok {
		return fmt.Errorf("unknown source %q", f[7])
	}
	if !slices.Contains([]string{kindInternet, kindSameCloud, kindCDN}, f[1]) {
		return fmt.Errorf("unknown kind %q", f[1])
	}
	if f[6] != "sourced" && f[6] != "estimate" {
		return fmt.Errorf("confidence %q: want sourced or estimate", f[6])
	}
	unit, err := price.ParseUnit(f[4])
	if err != nil {
		return err
	}
	if unit.Base() != "bytes" {
		return fmt.Errorf("unit %q: transfer is billed in GB or GiB", f[4])
	}
	ladder, err := price.ParseLadder(unit, f[5])
	if err != nil {
		return err
	}
	if l := p.list(f[0], f[1]); l.unit == "" {
		l.unit = unit
	} else if l.unit != unit {
		return fmt.Errorf("unit %s: other rows of this list have %s", unit, l.unit)
	}
	l, e := p.list(f[0], f[1]), ends{f[2], f[3]}
	if l.cells[e] != nil {
		return fmt.Errorf("the price is there twice")
	}
	for i := range ladder.Tiers {
		ladder.Tiers[i].Estimate = ladder.Tiers[i].Estimate || f[6] == "estimate"
	}
	l.cells[e] = &cell{e, ladder, src}
	if f[1] == kindCDN && !slices.Contains(p.cdns, f[0]) {
		p.cdns = append(p.cdns, f[0])
	}
	return nil
}

// area reads a row of areas.csv. The order of rows does not matter: a country
// named in one row wins over its continent named in another.
func (p *prices) area(f []string, known map[string]country) error {
	l := p.lists[list{f[0], f[1]}]
	if l == nil {
		return fmt.Errorf("no prices of %s for %s", f[0], f[1])
	}
	into := l.to
	switch f[2] {
	case "to":
	case "from":
		into = l.from
	default:
		return fmt.Errorf("side %q: want from or to", f[2])
	}
	priced := false
	for e := range l.cells {
		priced = priced || f[2] == "to" && e.to == f[3] || f[2] == "from" && e.from == f[3]
	}
	if !priced {
		return fmt.Errorf("area %q has no price", f[3])
	}
	named := strings.Fields(f[5])
	for _, code := range named {
		if _, ok := known[code]; !ok {
			return fmt.Errorf("unknown country %q", code)
		}
		into[code] = f[3]
	}
	for _, continent := range strings.Fields(f[4]) {
		into["continent "+continent] = f[3]
	}
	return nil
}

// of returns the area that contains a country, or "" when the list has none.
func (a areas) of(country, continent string) string {
	if area, ok := a[country]; ok {
		return area
	}
	return a["continent "+continent]
}

// find returns the first cell that exists for one of from and one of to, in
// their order. Pass narrow ends before wide ones: regions, then areas, then "".
func (l *priceList) find(from, to []string) *cell {
	for _, f := range from {
		for _, t := range to {
			if c := l.cells[ends{f, t}]; c != nil {
				return c
			}
		}
	}
	return nil
}

// usual returns the most likely cell when the exact one is not known. It looks at
// the cells from one of the given ends, or at all cells if there are none. It
// returns the cell for the area with the most countries. If there are no areas, it
// returns the cell with the highest price.
func (l *priceList) usual(from []string, sent float64) *cell {
	var best *cell
	var bestEnds ends
	better := func(e ends, c *cell) bool {
		return best == nil || cmp.Or(
			cmp.Compare(l.size[e.to], l.size[bestEnds.to]),
			cmp.Compare(c.ladder.Marginal(sent).Cents, best.ladder.Marginal(sent).Cents),
			cmp.Compare(bestEnds.from, e.from), // only to make the result deterministic
			cmp.Compare(bestEnds.to, e.to),
		) > 0
	}
	for _, known := range []bool{true, false} {
		for e, c := range l.cells {
			if (!known || slices.Contains(from, e.from)) && better(e, c) {
				best, bestEnds = c, e
			}
		}
		if best != nil {
			break
		}
	}
	return best
}

// close counts the countries of each area.
func (p *prices) close(known map[string]country) {
	for _, l := range p.lists {
		for code, k := range known {
			if area := l.to.of(code, k.continent); area != "" {
				l.size[area]++
			}
		}
	}
}
