package price

import (
	"fmt"
	"slices"
	"strings"
)

// Unit is a unit in which a provider bills. A price list states prices per unit; everything else in the program counts in
// the base of the unit: bytes, requests, bytes for a month, hours.
type Unit string

// These are the units. A provider that writes "GB" means one of two sizes, 7 % apart: AWS, Google Cloud and Azure mean
// [GiB], most CDNs mean [GB].
const (
	GB  Unit = "GB"  // 10⁹ bytes
	GiB Unit = "GiB" // 2³⁰ bytes
	TB  Unit = "TB"  // 10¹² bytes
	TiB Unit = "TiB" // 2⁴⁰ bytes

	GBMonth  Unit = "GB-month"  // 10⁹ bytes stored for a month
	GiBMonth Unit = "GiB-month" // 2³⁰ bytes stored for a month

	Requests    Unit = "requests" // single ones
	Requests1k  Unit = "1k requests"
	Requests10k Unit = "10k requests"
	Requests1M  Unit = "1M requests"

	Hour  Unit = "hour"
	Month Unit = "month"
)

// unit is what is known of a Unit: its size, and the base in which quantities of it are counted.
type unit struct {
	name Unit
	size float64
	base string
}

// units has the sizes of all units. The test TestConversions forbids these numbers elsewhere.
var units = []unit{
	{GB, 1e9, "bytes"}, {GiB, 1 << 30, "bytes"}, {TB, 1e12, "bytes"}, {TiB, 1 << 40, "bytes"},
	{GBMonth, 1e9, "byte-months"}, {GiBMonth, 1 << 30, "byte-months"},
	{Requests, 1, "requests"}, {Requests1k, 1e3, "requests"}, {Requests10k, 1e4, "requests"}, {Requests1M, 1e6, "requests"},
	{Hour, 1, "hours"}, {Month, 1, "months"},
}

// ParseUnit returns the unit of a name, as the constants spell it.
func ParseUnit(s string) (Unit, error) {
	i := slices.IndexFunc(units, func(u unit) bool { return string(u.name) == s })
	if i < 0 {
		return "", fmt.Errorf("unknown unit %q: want one of %s", s, strings.Join(Units(), ", "))
	}
	return units[i].name, nil
}

// Units lists the names of all units.
func Units() []string {
	var out []string
	for _, u := range units {
		out = append(out, string(u.name))
	}
	return out
}

// Size returns how much one unit is in its base: the bytes of a GiB, the requests of 10k requests. It returns 0 for an
// unknown unit.
func (u Unit) Size() float64 {
	switch u { // the units of the request path come first, without a search
	case GiB:
		return 1 << 30
	case GB:
		return 1e9
	}
	for i := range units {
		if units[i].name == u {
			return units[i].size
		}
	}
	return 0
}

// Base returns what quantities of this unit are counted in: bytes, byte-months, requests, hours or months; "" for an
// unknown unit.
func (u Unit) Base() string {
	for i := range units {
		if units[i].name == u {
			return units[i].base
		}
	}
	return ""
}

// Times returns the quantity of n units, in the base of the unit: the bytes of n GiB.
func (u Unit) Times(n float64) float64 { return n * u.Size() }

// Of returns how many units a quantity is. The quantity is in the base of the unit.
func (u Unit) Of(quantity float64) float64 { return quantity / u.Size() }

// Cents returns what a quantity costs, in US cents. The quantity is in the base of the unit: bytes for GB and GiB. This
// is the one conversion from bytes to money.
func Cents(quantity, centsPerUnit float64, u Unit) float64 { return quantity / u.Size() * centsPerUnit }

// USD returns what a quantity costs, in US dollars. See [Cents].
func USD(quantity, centsPerUnit float64, u Unit) float64 {
	return Cents(quantity, centsPerUnit, u) / 100
}

// Convert returns a price per unit `from` as a price per unit `to`. Both have the same base.
func Convert(cents float64, from, to Unit) float64 {
	if from == to {
		return cents // exactly
	}
	return cents * (to.Size() / from.Size())
}
