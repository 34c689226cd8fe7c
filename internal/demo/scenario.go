package demo

import (
	"maps"
	"net/netip"
	"slices"
)

// client is one of those who pull, and what must come of it.
type client struct {
	Name    string
	Address string // where it is; for one behind the front, what the front sees
	// Claims is an address of somebody else's, sent in the header by a client
	// that goes through the front like everybody on the internet does.
	Claims   string
	Platform string
	Place    string // where the proxy must think it is; "" for unknown
	// From says who must answer: by name of the piece ("index", "manifest",
	// "config", a layer), else under "".
	From map[string]string
	// Crowd is a /36 of its place that nobody else in the scenario uses, for pulls from ever other networks.
	Crowd netip.Prefix
}

// nodes are all who must answer some piece.
func (c client) nodes() []string { return slices.Collect(maps.Values(c.From)) }

// from returns the node that must serve a piece of the image.
func (c client) from(piece string) string {
	if name, ok := c.From[piece]; ok {
		return name
	}
	return c.From[""]
}

// home is where connections on loopback come from, as the front and the proxy see it.
const home = "127.0.0.1"

// clients is the scenario. The stores named here are what an operator would say
// without a computer: the own region; else the nearest that one's own cloud pays
// for; else the CDN; and whatever is missing comes from the next one.
//
// Each is in a network of its own (/24 or /48): to the proxy one network that asks for the same layer twice within two
// minutes is a client whose download failed.
func clients() []client {
	return []client{
		{
			Name: "aws-virginia", Address: "192.0.2.7", Platform: "linux/amd64", Place: "aws/us-east-1",
			Crowd: netip.MustParsePrefix("2001:db8:1000::/36"),
			From:  map[string]string{"": nodeVirginia, "index": nodeUS, "manifest": nodeUS},
		},
		{
			// Its own store lacks a layer; so does not the next one of its cloud.
			Name: "aws-singapore", Address: "2001:db8:a3::7", Platform: "linux/amd64", Place: "aws/ap-southeast-1",
			Crowd: netip.MustParsePrefix("2001:db8:2000::/36"),
			From:  map[string]string{"": nodeSingapore, missingInSingapore: nodeFrankfurt, "index": nodeEU, "manifest": nodeEU},
		},
		{
			// No store in its region: the nearest one of its cloud.
			Name: "aws-dublin", Address: "2001:db8:a4::7", Platform: "linux/amd64", Place: "aws/eu-west-1",
			Crowd: netip.MustParsePrefix("2001:db8:3000::/36"),
			From:  map[string]string{"": nodeFrankfurt, "index": nodeEU, "manifest": nodeEU},
		},
		{
			// No store serves its cloud, but upstreams live there: the near one,
			// and the canonical one for what the near one lacks.
			Name: "gcp-belgium", Address: "198.51.100.200", Platform: "linux/amd64", Place: "gcp/europe-west1",
			From: map[string]string{"": nodeEU, missingInEU: nodeUS},
		},
		{
			// On arm64, of which the near upstream has only the index.
			Name: "azure-amsterdam", Address: "203.0.113.7", Platform: "linux/arm64", Place: "azure/westeurope",
			Crowd: netip.MustParsePrefix("2001:db8:4000::/36"),
			From:  map[string]string{"": nodeAzure, "index": nodeEU, "manifest": nodeUS},
		},
		{
			// An address nobody lists: the store that serves the internet.
			Name: "home", Address: "2001:db8:ff::7", Platform: "linux/arm64", Place: "",
			Crowd: netip.MustParsePrefix("2001:db8:f000::/36"),
			From:  map[string]string{"": nodeCDN, "index": nodeUS, "manifest": nodeUS},
		},
		{
			// At home too, and would like AWS to pay. The front knows better.
			Name: "spoofer", Address: home, Claims: "192.0.2.7", Platform: "linux/amd64", Place: "",
			From: map[string]string{"": nodeCDN, "index": nodeUS, "manifest": nodeUS},
		},
	}
}
