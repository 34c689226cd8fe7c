package bill

import (
	"maps"
	"slices"

	"ociproxy/internal/price"
)

// bill is [Book.Bill] of added uses.
func (b *Book) bill(quantities map[Meter]float64) *Bill {
	out := &Bill{}
	for _, m := range slices.SortedFunc(maps.Keys(quantities), Meter.Compare) {
		l := b.ladder(m)
		q := quantities[m]
		line := Line{Meter: m, Quantity: q, Unit: l.Unit, USD: l.Bill(0, q)}
		line.Low, line.High = l.Range(q)
		line.ListUSD = line.USD
		out.Lines = append(out.Lines, line)
		out.USD, out.Low, out.High, out.ListUSD = out.USD+line.USD, out.Low+line.Low, out.High+line.High, out.ListUSD+line.ListUSD
	}
	return out
}

func (b *Book) ladder(m Meter) price.Ladder {
	c, _ := b.m.Listed(m.Provider, m.Item, m.From, m.To)
	return c.Ladder
}
