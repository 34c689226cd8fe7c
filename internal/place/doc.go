// Package place is the map: clouds, their regions with aliases and coordinates, countries, the long-haul cables
// between them, and what the clouds charge for a gigabyte. It provides the two halves of a routing score: [Map.RTT],
// an estimate of the round trip between two spots, and [Map.CentsPerGB], the list price of sending bytes from one
// place to another.
//
// It knows nothing of addresses, requests, stores or configuration files, and it imports no other package of this
// project. The tables are the CSV files in data/, embedded and parsed at first use; docs/places.md says how to change
// them.
package place
