package place

import (
	"cmp"
	"fmt"

	"ociproxy/internal/price"
)

// Site is a place on the map with what is known about it.
type Site struct {
	Place
	Spot
	Name        string   // the provider's own name for people
	City        string   // as in the provider's own address feed where it publishes one
	Subdivision string   // ISO 3166-2 as such a feed spells it, "US-NJ"; often empty
	Continent   string   // AF AN AS EU NA OC SA
	Partition   string   // aws, aws-cn, aws-us-gov, aws-eusc; else the cloud's name
	Status      string   // ga, restricted, internal, unreleased
	Confidence  string   // how the location is known: provider, name, announced, state, country, guess
	Source      string   // where the row comes from, as a sentence
	Aliases     []string // other spellings of the region in feeds
	Note        string
	Price       Override // replaces the price table for bytes sent from here
}

// String returns the name of the place.
func (s Site) String() string { return s.Place.String() }

// Override replaces list prices. Values are US cents per Unit. nil keeps the
// price from the price table.
type Override struct {
	Internet  *float64 // to anywhere outside the cloud
	SameCloud *float64 // to another region of the same cloud and partition
	// Unit is GB or GiB. Empty: that of the seller's price list.
	Unit price.Unit
}

// Over returns o with its nil fields taken from below.
func (o Override) Over(below Override) Override {
	if o.Internet == nil {
		o.Internet = below.Internet
	}
	if o.SameCloud == nil {
		o.SameCloud = below.SameCloud
	}
	o.Unit = cmp.Or(o.Unit, below.Unit)
	return o
}

func (o Override) check() error {
	for _, c := range []*float64{o.Internet, o.SameCloud} {
		if c != nil && !(*c >= 0 && *c <= 1000) {
			return fmt.Errorf("price %v: not within 0 to 1000 US cents per GB", *c)
		}
	}
	if o.Unit != "" && o.Unit.Base() != "bytes" {
		return fmt.Errorf("unit %q: want GB or GiB", string(o.Unit))
	}
	return nil
}

// The statuses and confidences that a site may have.
var (
	statuses    = []string{"ga", "restricted", "internal", "unreleased"}
	confidences = []string{"provider", "name", "announced", "state", "country", "guess"}
)
