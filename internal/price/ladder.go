package price

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Tier is the price of what goes beyond a quantity in one month.
type Tier struct {
	From     float64 // in the base of the ladder's unit: bytes
	Cents    float64 // US cents per unit of the ladder
	Estimate bool    // not taken from a price list
}

// Ladder is the price of one thing: a price for each step of the quantity in a month. The zero Ladder costs nothing.
type Ladder struct {
	Unit  Unit
	Tiers []Tier // ascending; the first from 0
}

// Flat returns a ladder with one price.
func Flat(cents float64, u Unit) Ladder { return Ladder{Unit: u, Tiers: []Tier{{Cents: cents}}} }

// Marginal returns the tier of the next unit, after the quantity `at` in this month.
func (l Ladder) Marginal(at float64) Tier {
	var t Tier
	for i := range l.Tiers {
		if i == 0 || at >= l.Tiers[i].From {
			t = l.Tiers[i]
		}
	}
	return t
}

// Step returns the index of the tier that [Ladder.Marginal] returns.
func (l Ladder) Step(at float64) int {
	step := 0
	for i := range l.Tiers {
		if at >= l.Tiers[i].From {
			step = i
		}
	}
	return step
}

// Bill returns exactly what a quantity costs in US dollars, when the quantity `from` was used up before in this month.
func (l Ladder) Bill(from, quantity float64) float64 {
	var cents float64
	for i, t := range l.Tiers {
		end := math.Inf(1)
		if i+1 < len(l.Tiers) {
			end = l.Tiers[i+1].From
		}
		if n := min(end, from+quantity) - max(t.From, from); n > 0 {
			cents += Cents(n, t.Cents, l.Unit)
		}
	}
	return cents / 100
}

// Range returns the least and the most that a quantity can cost in US dollars, wherever in the ladder it begins.
func (l Ladder) Range(quantity float64) (low, high float64) {
	for i, t := range l.Tiers {
		usd := USD(quantity, t.Cents, l.Unit)
		if i == 0 {
			low, high = usd, usd
		}
		low, high = min(low, usd), max(high, usd)
	}
	return low, high
}

// Scale returns the ladder with all prices multiplied by a factor.
func (l Ladder) Scale(factor float64) Ladder {
	out := Ladder{Unit: l.Unit, Tiers: make([]Tier, len(l.Tiers))}
	for i, t := range l.Tiers {
		t.Cents *= factor
		out.Tiers[i] = t
	}
	return out
}

// maxCents is the highest price that a table may have: a mistyped one is higher.
const maxCents = 1e6

// ParseLadder reads the prices of a table: "9 10TiB:8.5 50TiB:~7" costs 9 cents per unit, from 10 TiB a month 8.5. The
// mark ~ means that this tier is an estimate even if the others are not. A limit has a unit with the base of u; a limit
// of requests is a plain number.
func ParseLadder(u Unit, s string) (Ladder, error) {
	if u.Size() == 0 {
		return Ladder{}, fmt.Errorf("unknown unit %q", string(u))
	}
	l := Ladder{Unit: u}
	for i, word := range strings.Fields(s) {
		from, cents, ok := strings.Cut(word, ":")
		if ok == (i == 0) {
			return Ladder{}, fmt.Errorf("tiers %q: want CENTS, then LIMIT:CENTS", s)
		}
		t := Tier{}
		if i == 0 {
			cents = word
		} else {
			var err error
			if t.From, err = parseLimit(from, u); err != nil {
				return Ladder{}, fmt.Errorf("tiers %q: %w", s, err)
			}
		}
		cents, t.Estimate = strings.CutPrefix(cents, "~")
		var err error
		if t.Cents, err = strconv.ParseFloat(cents, 64); err != nil || !(t.Cents >= 0 && t.Cents <= maxCents) {
			return Ladder{}, fmt.Errorf("tiers %q: %q is no price in US cents", s, word)
		}
		if i > 0 && !(t.From > l.Tiers[i-1].From) {
			return Ladder{}, fmt.Errorf("tiers %q: not ascending", s)
		}
		l.Tiers = append(l.Tiers, t)
	}
	if len(l.Tiers) == 0 {
		return Ladder{}, fmt.Errorf("no price")
	}
	return l, nil
}

func parseLimit(s string, u Unit) (float64, error) {
	n, err := ParseQuantity(s)
	stored := u.Base() == "byte-months" && n.Unit.Base() == "bytes" // the limits of storage are those of a month
	if err == nil && n.Unit.Base() != u.Base() && !stored {
		err = fmt.Errorf("limit %q: not in %s", s, u.Base())
	}
	return n.Base(), err
}

// Quantity is a number of units.
type Quantity struct {
	N    float64
	Unit Unit
}

// Base returns the quantity in the base of its unit: bytes, requests.
func (q Quantity) Base() float64 { return q.N * q.Unit.Size() }

// ParseQuantity reads "10TiB", "100GB" or, for requests, "1000000". The number is positive and finite.
func ParseQuantity(s string) (Quantity, error) {
	end := strings.LastIndexAny(s, "0123456789.") + 1
	n, err := strconv.ParseFloat(s[:end], 64)
	if err != nil || !(n > 0) || math.IsInf(n, 1) {
		return Quantity{}, fmt.Errorf("quantity %q: want a number with a unit, such as 10TiB", s)
	}
	u := Requests
	if s[end:] != "" {
		if u, err = ParseUnit(s[end:]); err != nil {
			return Quantity{}, fmt.Errorf("quantity %q: %w", s, err)
		}
	}
	return Quantity{n, u}, nil
}
