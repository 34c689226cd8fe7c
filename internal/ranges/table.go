package ranges

import (
	"net/netip"

	"github.com/gaissmai/bart"

	"ociproxy/internal/place"
)

// OverridesFeed is the Feed of entries that the operator wrote into the config.
const OverridesFeed = "overrides"

// Entry is one range and its place. Entries are shared and must not be changed.
type Entry struct {
	Prefix netip.Prefix
	Place  place.Place // if the map does not know the region: see [place.Map.Unlisted]
	Feed   string      // name of the feed, or OverridesFeed
	Region string      // as the feed spells it: "GLOBAL", "germanywc", "US-NJ Clifton"

	Spot    place.Spot // location of Place
	HasSpot bool       // false when the region is not known

	Override bool // written by the operator in the config
}

// Table finds the entry for an address. It is immutable and safe for concurrent use.
type Table struct {
	trie    bart.Fast[uint32] // values are indices into entries
	entries []Entry
}

// Lookup returns the entry with the longest prefix that contains a. It looks up mapped IPv6 addresses as IPv4.
// Overrides win over feeds. It does not allocate.
func (t *Table) Lookup(a netip.Addr) (*Entry, bool) {
	i, ok := t.trie.Lookup(a.Unmap())
	if !ok {
		return nil, false
	}
	return &t.entries[i], true
}

// Len returns the number of ranges in the table.
func (t *Table) Len() int { return len(t.entries) }

// Entries returns all ranges, overrides first. The slice is shared: do not modify it.
func (t *Table) Entries() []Entry { return t.entries }

// newTable compiles the overrides and the entries of each feed into one table. It leaves out feed prefixes inside an
// override, so that one longest-prefix look-up is enough. conflicts counts, for each feed, the rows that lost against
// another place with the same prefix.
func newTable(overrides []Entry, feeds [][]Entry) (t *Table, conflicts []int) {
	n := len(overrides)
	for _, f := range feeds {
		n += len(f)
	}
	t = &Table{entries: make([]Entry, 0, n)}
	conflicts = make([]int, len(feeds))

	var own bart.Lite
	for _, e := range overrides {
		e.Override = true
		t.add(e)
		own.Insert(e.Prefix)
	}
	for i, f := range feeds {
		for _, e := range f {
			if own.LookupPrefix(e.Prefix) {
				continue
			}
			if !t.add(e) {
				conflicts[i]++
			}
		}
	}
	return t, conflicts
}

// add inserts e by the rules for equal prefixes of different feeds. It returns false if the two places contradict
// each other.
func (t *Table) add(e Entry) bool {
	i, dup := t.trie.Get(e.Prefix)
	if !dup {
		t.trie.Insert(e.Prefix, uint32(len(t.entries)))
		t.entries = append(t.entries, e)
		return true
	}
	old := &t.entries[i]
	sameCloud := old.Place.Cloud == e.Place.Cloud
	if sameCloud && e.says() > old.says() && old.Region != severalRegions {
		*old = e // more precise, not contradictory
	}
	return old.Place == e.Place || sameCloud && !e.HasSpot
}
