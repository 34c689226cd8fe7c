package ranges

import (
	"errors"
	"fmt"
	"net/netip"

	"ociproxy/internal/config"
	"ociproxy/internal/fetch"
	"ociproxy/internal/strictjson"
)

// row is one line of a feed as the provider wrote it. Only its form has been checked.
type row struct {
	prefix netip.Prefix
	cloud  string   // "": the feed's own cloud
	region string   // the provider's name of the region; "" when only a locality is given
	at     locality // for geofeeds
}

// locality is what a geofeed says about a prefix (RFC 8805 section 2.1.1).
type locality struct {
	country     string // ISO 3166-1 alpha-2, "" when the feed does not say
	subdivision string // ISO 3166-2: "US-NJ"
	city        string
}

// parser reads a feed. It is strict: one row that it cannot read fails the complete feed, because half a feed is
// worse than the last good one.
type parser func(data []byte) ([]row, error)

// format describes a provider.
type format struct {
	parse parser
	cloud string // "" when the config or each row names it
	kind  kind
}

// formats has one format for each provider that config.Provider lists.
var formats = map[config.Provider]format{
	config.AWS:      {parse: parseAWS, cloud: "aws"},
	config.GCP:      {parse: parseGCP, cloud: "gcp"},
	config.Azure:    {parse: parseAzure, cloud: "azure"},
	config.Oracle:   {parse: parseOracle, cloud: "oracle"},
	config.Exoscale: {parse: parseExoscale, cloud: "exoscale"},
	config.Geofeed:  {parse: parseGeofeed, kind: geofeed},
	config.Vultr:    {parse: parseVultr, cloud: "vultr", kind: geofeed},
	config.CSV:      {parse: parseCSV, kind: ownList},
}

var errHostBits = errors.New("has host bits set")

// parsePrefix reads a prefix in CIDR notation without host bits.
func parsePrefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("prefix %q: not in CIDR notation", s)
	}
	if p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("prefix %q: IPv4 written as IPv6", s)
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("prefix %q: %w", s, errHostBits)
	}
	return p, nil
}

// either returns whichever of the two prefixes is not empty: providers have one key per address family.
func either(v4, v6 string) (netip.Prefix, error) {
	switch {
	case v4 != "" && v6 != "":
		return netip.Prefix{}, fmt.Errorf("two prefixes, %q and %q", v4, v6)
	case v4 == "" && v6 == "":
		return netip.Prefix{}, errors.New("no prefix")
	}
	p, err := parsePrefix(v4 + v6)
	if err == nil && p.Addr().Is4() != (v4 != "") {
		return netip.Prefix{}, fmt.Errorf("prefix %q: under the key of the other family", v4+v6)
	}
	return p, err
}

// rowError says which element of which list is wrong.
func rowError(list string, i int, err error) error { return fmt.Errorf("%s[%d]: %w", list, i, err) }

// feedBounds are the limits for parsing a feed. It may be as long as a fetched file may be, and may have one value
// per 8 bytes, which is three times as many as the densest feed has.
var feedBounds = strictjson.Bounds{Bytes: fetch.DefaultMaxBytes, Values: fetch.DefaultMaxBytes / 8}

// decode reads one JSON document and allows nothing after it. It ignores unknown keys, because providers add new
// ones.
func decode(data []byte, v any) error {
	return strictjson.Unmarshal(data, v, feedBounds)
}

// regional is a prefix of either family and its region. Most feeds list exactly this, each under its own key names.
// The items of those feeds convert to it.
type regional struct{ V4, V6, Region string }

var errNoRegion = errors.New("no region")

// regionalRows turns the n items of a list into rows.
func regionalRows(list string, n int, item func(i int) regional) ([]row, error) {
	rows := make([]row, 0, n)
	for i := range n {
		it := item(i)
		p, err := either(it.V4, it.V6)
		if err == nil && it.Region == "" {
			err = errNoRegion
		}
		if err != nil {
			return nil, rowError(list, i, err)
		}
		rows = append(rows, row{prefix: p, region: it.Region})
	}
	return rows, nil
}
