package focus

import "ociproxy/internal/bill"

// Kind is what a charge is for, the same for all providers: an item of our own bill, or a kind that only the provider's
// bill has.
type Kind string

// These are the kinds. Quantities of transfer are in bytes, of storage in bytes for a month, of requests in requests.
const (
	Internet   Kind = bill.Internet  // from a bucket to the internet
	SameCloud  Kind = bill.SameCloud // from a bucket to another region of its cloud
	SameRegion Kind = bill.Free      // from a bucket to its own region
	Edge       Kind = bill.CDN       // from a CDN to clients
	Fill       Kind = bill.Fill      // from a bucket to the CDN before it
	Shield     Kind = "shield"       // between the caches of a CDN
	Inbound    Kind = "inbound"      // into a bucket or a CDN

	Reads     Kind = bill.Read  // GET, HEAD
	Writes    Kind = bill.Write // PUT, COPY, LIST
	EdgeReads Kind = bill.CDNRequests

	Storage     Kind = bill.Stored
	EarlyDelete Kind = "early-delete" // storage that was deleted before its least time
	Retrieval   Kind = "retrieval"
	Copy        Kind = bill.Copy    // replication, besides the bytes
	Management  Kind = "management" // inventories, analytics, tags, monitoring of objects
)

// Kinds lists all kinds in the order of a bill.
func Kinds() []Kind {
	return []Kind{Internet, SameCloud, SameRegion, Edge, Fill, Shield, Inbound, Reads, Writes, EdgeReads, Storage, EarlyDelete,
		Retrieval, Copy, Management}
}

// ofCDN reports whether a CDN's provider bills a kind, not the bucket's.
func (k Kind) ofCDN() bool { return k == Edge || k == Shield || k == EdgeReads }

// Base returns in what quantities of a kind are counted: bytes, byte-months or requests.
func (k Kind) Base() string {
	switch k {
	case Reads, Writes, EdgeReads, Management:
		return baseRequests
	case Storage, EarlyDelete:
		return baseByteMonths
	}
	return baseBytes
}

// The bases of [price.Unit].
const (
	baseBytes      = "bytes"
	baseByteMonths = "byte-months"
	baseRequests   = "requests"
)
