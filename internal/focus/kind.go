package focus

// Kind is what a charge is for, the same for all providers.
type Kind string

// These are the kinds. Quantities of transfer are in bytes, of storage in bytes for a month, of requests in requests.
const (
	Internet   Kind = "internet"    // from a bucket to the internet
	SameCloud  Kind = "same-cloud"  // from a bucket to another region of its cloud
	SameRegion Kind = "same-region" // from a bucket to its own region
	Origin     Kind = "origin"      // from a bucket to a CDN of its provider
	Edge       Kind = "cdn"         // from a CDN to clients
	Fill       Kind = "cdn-fill"    // into a CDN from its origin, or between its caches
	Inbound    Kind = "inbound"     // into a bucket or a CDN

	Reads       Kind = "reads"        // GET, HEAD
	Writes      Kind = "writes"       // PUT, COPY, LIST
	EdgeReads   Kind = "cdn-requests" // requests at a CDN
	Storage     Kind = "storage"
	EarlyDelete Kind = "early-delete" // storage that was deleted before its least time
	Retrieval   Kind = "retrieval"
	Replication Kind = "replication"
	Management  Kind = "management" // inventories, analytics, tags, monitoring of objects
)

// Kinds lists all kinds in the order of a bill.
func Kinds() []Kind {
	return []Kind{Internet, SameCloud, SameRegion, Origin, Edge, Fill, Inbound, Reads, Writes, EdgeReads, Storage,
		EarlyDelete, Retrieval, Replication, Management}
}

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
