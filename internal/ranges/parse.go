package ranges

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"

	"ociproxy/internal/config"
)

// row is one line of a feed as the provider wrote it, checked for form only.
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

// parser reads a feed. It is strict: one row it does not understand fails the whole feed, since half a feed is worse
// than the last good one.
type parser func(data []byte) ([]row, error)

// format describes a provider.
type format struct {
	parse parser
	cloud string // "" when the config or each row names it
	url   string // "" when there is no stable one
	own   bool   // written by the operator: private and documentation ranges are allowed
}

// formats are the providers that config.Provider lists.
//
// The URLs are the ones each provider documents. Azure's weekly file has a new URL every week (download id 56519),
// so it needs `url` or `file`.
var formats = map[config.Provider]format{
	config.AWS:      {parse: parseAWS, cloud: "aws", url: "https://ip-ranges.amazonaws.com/ip-ranges.json"},
	config.GCP:      {parse: parseGCP, cloud: "gcp", url: "https://www.gstatic.com/ipranges/cloud.json"},
	config.Azure:    {parse: parseAzure, cloud: "azure"},
	config.Oracle:   {parse: parseOracle, cloud: "oracle", url: "https://docs.oracle.com/en-us/iaas/tools/public_ip_ranges.json"},
	config.Exoscale: {parse: parseExoscale, cloud: "exoscale", url: "https://exoscale-prefixes.sos-ch-dk-2.exo.io/exoscale_prefixes.json"},
	config.Geofeed:  {parse: parseGeofeed},
	config.Vultr:    {parse: parseVultr, cloud: "vultr", url: "https://geofeed.constant.com/?json"},
	config.CSV:      {parse: parseCSV, own: true},
}

// DefaultURL is where a provider publishes its ranges; "" when it has no stable URL.
func DefaultURL(p config.Provider) string { return formats[p].url }

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

// either returns the one of two prefixes that is written: providers have one key per family.
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

// decode reads one JSON document and nothing after it. Unknown keys are ignored: providers add some.
func decode(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		if s, ok := errors.AsType[*json.SyntaxError](err); ok {
			return fmt.Errorf("not JSON at byte %d: %w", s.Offset, err)
		}
		return err
	}
	return nil
}
