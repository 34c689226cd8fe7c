package ranges

import (
	"fmt"
	"net/netip"
	"strings"

	"ociproxy/internal/place"
)

// resolver turns rows of one feed into entries.
type resolver struct {
	feed  string
	cloud string // of rows that name none
	sites *place.Map
}

// rowKey is all that a row's place depends on: thousands of rows share some dozens of keys.
type rowKey struct {
	cloud, region string
	at            locality
}

// severalRegions is the Region of a prefix that its feed lists under different regions (Exoscale lists one under all).
const severalRegions = "(several)"

// entries resolves rows, each prefix once. conflicts counts the prefixes that were listed with different places.
func (r *resolver) entries(rows []row) (entries []Entry, conflicts int, err error) {
	known := map[rowKey]Entry{}
	index := make(map[netip.Prefix]int, len(rows))
	entries = make([]Entry, 0, len(rows))
	for _, row := range rows {
		k := rowKey{or(row.cloud, r.cloud), row.region, row.at}
		e, ok := known[k]
		if !ok {
			if e, err = r.resolve(k); err != nil {
				return nil, 0, err
			}
			known[k] = e
		}
		e.Prefix = row.prefix
		i, dup := index[e.Prefix]
		if !dup {
			index[e.Prefix] = len(entries)
			entries = append(entries, e)
			continue
		}
		if merged := r.merge(entries[i], e); merged != entries[i] {
			if merged.Region == severalRegions {
				conflicts++
			}
			entries[i] = merged
		} else if e.Place.Cloud != merged.Place.Cloud {
			conflicts++
		}
	}
	return entries, conflicts, nil
}

// merge applies the rule for a prefix that one feed lists twice: two regions of one cloud leave the region unknown,
// what says more beats what says less, and of two clouds the first stays.
func (r *resolver) merge(e, other Entry) Entry {
	switch {
	case e.Place == other.Place, e.Place.Cloud != other.Place.Cloud, e.Region == severalRegions, other.says() < e.says():
		return e
	case other.says() > e.says():
		return other
	case !e.HasSpot:
		return e
	}
	at := r.sites.Unlisted(e.Place.Cloud, e.Place.Region)
	if at != r.sites.Unlisted(other.Place.Cloud, other.Place.Region) {
		at.Region = "" // not even the partition is certain
	}
	return Entry{Prefix: e.Prefix, Place: at, Feed: e.Feed, Region: severalRegions}
}

// says is how much e tells of the place: 0 the cloud, 1 its partition, 2 the region.
func (e *Entry) says() int {
	switch {
	case e.HasSpot:
		return 2
	case e.Place.Region != "":
		return 1
	}
	return 0
}

// resolve finds the place of one kind of row. A region that is not on the map leaves the cloud known, and the partition
// where the region's name shows it; a cloud that is not on the map is an error, since nothing can be said about it.
func (r *resolver) resolve(k rowKey) (Entry, error) {
	if !r.sites.HasCloud(k.cloud) {
		return Entry{}, fmt.Errorf("cloud %q is not on the map", k.cloud)
	}
	e := Entry{Feed: r.feed, Place: r.sites.Unlisted(k.cloud, k.region), Region: k.region}
	if k.region == "" && k.at != (locality{}) {
		e.Region = k.at.String()
		if site, ok := r.locate(k.cloud, k.at); ok {
			e.Place, e.Spot, e.HasSpot = site.Place, site.Spot, true
		}
		return e, nil
	}
	if p, ok := r.sites.Resolve(k.cloud, k.region); ok {
		if site, ok := r.sites.Find(p); ok {
			e.Place, e.Spot, e.HasSpot = site.Place, site.Spot, true
		}
	}
	return e, nil
}

// locate finds the cloud's region for a geofeed's locality. Of the regions in the same country: one in the same city,
// else one in the same subdivision; else the region nearest to the subdivision, else to the middle of the country.
func (r *resolver) locate(cloud string, at locality) (place.Site, bool) {
	var best *place.Site
	bestRank := 0
	for i, sites := 0, r.sites.Sites(); i < len(sites); i++ {
		if s := &sites[i]; s.Cloud == cloud && s.Country == at.country {
			if rank := at.match(s); rank > bestRank {
				best, bestRank = s, rank
			}
		}
	}
	if best != nil {
		return *best, true
	}
	if p, ok := subdivisions()[at.subdivision]; ok {
		return r.sites.Nearest(cloud, place.Spot{Point: p, Country: at.country})
	}
	spot, ok := place.CountrySpot(at.country)
	if !ok {
		return place.Site{}, false
	}
	return r.sites.Nearest(cloud, spot)
}

// match ranks a region of the right country: the city counts most, then the subdivision, then being open to everybody.
// 0 means that nothing fits.
func (l locality) match(s *place.Site) int {
	rank := 0
	if city := fold(l.city); city != "" && (within(city, fold(s.City)) || within(fold(s.Name), city)) {
		rank += 4
	}
	if l.subdivision != "" && l.subdivision == s.Subdivision {
		rank += 2
	}
	if rank > 0 && s.Status == "ga" {
		rank++
	}
	return rank
}

// within reports whether text has the words of name in sequence: feeds write "Toronto, ON" and "Isando Gauteng".
func within(text, name string) bool {
	return name != "" && strings.Contains(" "+text+" ", " "+name+" ")
}

// fold makes names of cities comparable: lower case, ASCII letters, single spaces.
func fold(s string) string {
	s = strings.Map(func(c rune) rune {
		if base, ok := accents[c]; ok {
			return base
		}
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			return c
		case c == '\'', c == '’':
			return -1
		}
		return ' '
	}, strings.ToLower(s))
	return strings.Join(strings.Fields(s), " ")
}

// accents are the letters that names of cities in feeds and on the map carry.
var accents = map[rune]rune{
	'á': 'a', 'à': 'a', 'â': 'a', 'ã': 'a', 'ä': 'a', 'å': 'a', 'ç': 'c', 'é': 'e', 'è': 'e', 'ê': 'e', 'í': 'i',
	'ñ': 'n', 'ó': 'o', 'ô': 'o', 'õ': 'o', 'ö': 'o', 'ø': 'o', 'ú': 'u', 'ü': 'u', 'ý': 'y',
}
