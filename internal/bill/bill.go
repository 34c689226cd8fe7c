package bill

import (
	"slices"

	"ociproxy/internal/price"
)

// Line is one line of a bill.
type Line struct {
	Meter
	Quantity float64    // in the base of Unit
	Unit     price.Unit // the unit of the price
	USD      float64    // exact, when the quantities before and the tiers are known
	// Low and High bound USD when it is not known where in its tiers the payer is: all at the cheapest tier, and all at
	// the dearest. Otherwise they are USD.
	Low, High float64
	ListUSD   float64 // before discounts and prices of the configuration
	Estimate  bool    // the price does not come from a price list or the configuration
	Basis     string  // where the price comes from: list, config, free, unpriced
	Source    string
	Date      string
}

// Bill is what the uses of one month cost.
type Bill struct {
	Lines          []Line // sorted by meter
	USD, Low, High float64
	ListUSD        float64
	Estimated      float64 // the part of USD whose price is an estimate
}

// Line returns the line of a meter.
func (b *Bill) Line(m Meter) (Line, bool) {
	i, ok := slices.BinarySearchFunc(b.Lines, m, func(l Line, m Meter) int { return l.Compare(m) })
	if !ok {
		return Line{}, false
	}
	return b.Lines[i], true
}

// Known reports whether all tiers are known, so that the bill is no range.
func (b *Bill) Known() bool { return b.Low == b.High }

// Rate returns what one byte, request or other base quantity of a meter costs in a bill, in US dollars. The sum of
// quantity × rate over all uses of a bill is the bill. It returns 0 for a meter that the bill does not have.
func (b *Bill) Rate(m Meter) float64 {
	l, ok := b.Line(m)
	if !ok || l.Quantity == 0 {
		return 0
	}
	return l.USD / l.Quantity
}
