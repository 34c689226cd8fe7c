package demo

import (
	"maps"
	"net/netip"
	"slices"
)

// client is one of the pulling clients, with the expected results.
type client struct {
	Name    string
	Address string // the client's address; for a client behind the front, the address that the front sees
	// Claims is the address of another client. A spoofing client sends it in
	// the header through the front, as any client on the internet can.
	Claims   string
	Platform string
	Place    string // where the proxy must locate it; "" for unknown
	// From says which node must answer for each piece ("index", "manifest",
	// "config", a layer). "" stands for all other pieces.
	From map[string]string
	// Crowd is a /36 of its place that no other client of the scenario uses. Each pull of an outage, and of a demo that
	// serves, comes from a new network in it.
	Crowd netip.Prefix
}

// nodes returns all nodes that must answer for some piece.
func (c client) nodes() []string { return slices.Collect(maps.Values(c.From)) }

// from returns the node that must serve a piece of the image.
func (c client) from(piece string) string {
	if name, ok := c.From[piece]; ok {
		return name
	}
	return c.From[""]
}

// network returns an address in network n of the client's crowd; there are 4096. A network that asks for the same layer
// again would look like a client whose download failed, but these pulls are about routing.
func (c client) network(n int) netip.Addr {
	a := c.Crowd.Addr().As16()
	a[4] |= byte(n>>8) & 0x0f // a /36 has 4096 /48s
	a[5] = byte(n)
	a[15] = 7
	return netip.AddrFrom16(a)
}

// home is the source address of connections on loopback, as the front and the proxy see it.
const home = "127.0.0.1"

// clients is the scenario. The stores are the choices that an operator would
// make by hand: the store in the client's own region; else the nearest one in
// the client's own cloud; else the CDN. A blob that is missing there comes from
// the next candidate.
//
// Each client is in its own network (/24 or /48). If one network asks for the
// same layer twice within two minutes, the proxy takes it for a client whose
// download failed.
func clients() []client {
	return []client{
		{
			Name: "aws-virginia", Address: "192.0.2.7", Platform: "linux/amd64", Place: "aws/us-east-1",
			Crowd: netip.MustParsePrefix("2001:db8:1000::/36"),
			From:  map[string]string{"": nodeVirginia, "index": nodeUS, "manifest": nodeUS},
		},
		{
			// The store in its region is missing a layer; the next one of its
			// cloud has it.
			Name: "aws-singapore", Address: "2001:db8:a3::7", Platform: "linux/amd64", Place: "aws/ap-southeast-1",
			Crowd: netip.MustParsePrefix("2001:db8:2000::/36"),
			From:  map[string]string{"": nodeSingapore, missingInSingapore: nodeFrankfurt, "index": nodeEU, "manifest": nodeEU},
		},
		{
			// No store in its region, so it uses the nearest one of its cloud.
			Name: "aws-dublin", Address: "2001:db8:a4::7", Platform: "linux/amd64", Place: "aws/eu-west-1",
			Crowd: netip.MustParsePrefix("2001:db8:3000::/36"),
			From:  map[string]string{"": nodeFrankfurt, "index": nodeEU, "manifest": nodeEU},
		},
		{
			// No store serves its cloud, but there are upstreams in it: it uses
			// the near one, and the canonical one for what the near one does
			// not have.
			Name: "gcp-belgium", Address: "198.51.100.200", Platform: "linux/amd64", Place: "gcp/europe-west1",
			Crowd: netip.MustParsePrefix("2001:db8:5000::/36"),
			From:  map[string]string{"": nodeEU, missingInEU: nodeUS},
		},
		{
			// It runs arm64. The near upstream has only the index for that.
			Name: "azure-amsterdam", Address: "203.0.113.7", Platform: "linux/arm64", Place: "azure/westeurope",
			Crowd: netip.MustParsePrefix("2001:db8:4000::/36"),
			From:  map[string]string{"": nodeAzure, "index": nodeEU, "manifest": nodeUS},
		},
		{
			// No feed lists its address, so it uses the store that serves the
			// internet.
			Name: "home", Address: "2001:db8:ff::7", Platform: "linux/arm64", Place: "",
			Crowd: netip.MustParsePrefix("2001:db8:f000::/36"),
			From:  map[string]string{"": nodeCDN, "index": nodeUS, "manifest": nodeUS},
		},
		{
			// It is at home too, but claims to be in AWS. The front appends its
			// real address.
			Name: "spoofer", Address: home, Claims: "192.0.2.7", Platform: "linux/amd64", Place: "",
			From: map[string]string{"": nodeCDN, "index": nodeUS, "manifest": nodeUS},
		},
	}
}
