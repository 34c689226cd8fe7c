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
	cloud string // for rows that name no cloud
	sites *place.Map
}

// rowKey is everything that a row's place depends on. Thousands of rows share a few dozen keys.
type rowKey struct {
	cloud, region string
	at            locality
}

// severalRegions is the Region of a prefix that its feed lists under different regions (Exoscale lists one under all).
const severalRegions = "(several)"

// entries resolves rows. Each prefix becomes one entry. conflicts counts the prefixes listed with different places.
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

// merge applies the rules for a prefix that one feed lists twice. Two regions of one cloud: the region is unknown.
// One entry is more precise: it wins. Two clouds: the first one stays.
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

// says returns how precise e is about the place: 0 the cloud only, 1 its partition, 2 the region.
func (e *Entry) says() int {
	switch {
	case e.HasSpot:
		return 2
	case e.Place.Region != "":
		return 1
	}
	return 0
}

// resolve finds the place for one rowKey. If the region is not on the map, the cloud is known, and the partition too
// if the region's name shows it. A cloud that is not on the map is an error, because nothing can be said about it.
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

// locate finds the cloud's region for a geofeed's locality. Among the regions in the same country it prefers one in
// the same city, then one in the same subdivision. If there is none, it takes the region nearest to the subdivision,
// or else nearest to the middle of the country.
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

// match ranks a region of the right country. The city counts most, then the subdivision, then whether the region is
// open to all customers. 0 means no match.
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

// within reports whether text contains the words of name in sequence. Feeds write "Toronto, ON" and "Isando Gauteng".
func within(text, name string) bool {
	return name != "" && strings.Contains(" "+text+" ", " "+name+" ")
}

// fold makes city names comparable: lower case, ASCII letters, single spaces.
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

// accents are the accented letters in city names in feeds and on the map.
var accents = map[rune]rune{
	'á': 'a', 'à': 'a', 'â': 'a', 'ã': 'a', 'ä': 'a', 'å': 'a', 'ç': 'c', 'é': 'e', 'è': 'e', 'ê': 'e', 'í': 'i',
	'ñ': 'n', 'ó': 'o', 'ô': 'o', 'õ': 'o', 'ö': 'o', 'ø': 'o', 'ú': 'u', 'ü': 'u', 'ý': 'y',
}
