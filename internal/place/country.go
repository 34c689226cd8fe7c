package place

import (
	"maps"
	"slices"
)

// country is a row of data/countries.csv.
type country struct {
	name, continent string
	middle          Point
}

// CountrySpot returns the middle of a country, given by its ISO 3166-1 alpha-2
// code in upper case.
func CountrySpot(code string) (Spot, bool) {
	c, ok := tables().countries[code]
	if !ok {
		return Spot{}, false
	}
	return Spot{c.middle, code}, true
}

// Continent returns the continent of a country: AF AN AS EU NA OC SA, or ""
// for an unknown code.
func Continent(code string) string { return tables().countries[code].continent }

// Countries returns all country codes, sorted.
func Countries() []string { return slices.Sorted(maps.Keys(tables().countries)) }
