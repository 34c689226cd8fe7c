package bill

import (
	"cmp"
	"strings"
)

// Meter identifies one line of a bill: a thing that is billed, in one account. Meters are comparable. The quantities of
// meters that differ only in Account (of one payer) or Store can add up in the tiers of one ladder: [Book.Bill] does that.
type Meter struct {
	Account  string // the account of the configuration, or the owner of the store; "" not known
	Store    string // the store or upstream; "" for the front and other things that no store has
	Provider string // who bills: aws, gcp, cloudfront, …
	Item     string // one of the names of [Items]
	From, To string // the ends, as the price list names them: regions, areas; "" any
}

// String returns the parts of the meter, for messages and for sorting.
func (m Meter) String() string {
	return strings.Join([]string{m.Account, m.Store, m.Provider, m.Item, m.From, m.To}, "|")
}

// Compare orders meters by account, store, provider, item and ends.
func (m Meter) Compare(o Meter) int {
	return cmp.Or(
		cmp.Compare(m.Account, o.Account), cmp.Compare(m.Store, o.Store), cmp.Compare(m.Provider, o.Provider),
		cmp.Compare(m.Item, o.Item), cmp.Compare(m.From, o.From), cmp.Compare(m.To, o.To),
	)
}

// Use is how much of a meter was used in one month, in the base of the item's unit: bytes, requests, byte-months (1 byte
// stored for a month), hours, or US dollars for [Fixed].
type Use struct {
	Meter    Meter
	Quantity float64
}

// The names of items: values of Meter.Item. [Items] says what each is.
const (
	// Free is what nobody bills, such as bytes within a region.
	Free = "free"
	// Unpriced is what no price list has.
	Unpriced = "unpriced"
	// Transfer of bytes out of a bucket or CDN.
	Internet  = "internet"
	SameCloud = "same-cloud"
	CDN       = "cdn"
	Fill      = "fill" // from a bucket to the CDN in front of it
	Copy      = "copy" // between buckets, besides the bytes as SameCloud or Internet
	// Requests.
	Write       = "requests-write" // PUT, COPY, POST, LIST
	Read        = "requests-read"  // GET, HEAD
	CDNRequests = "requests-cdn"
	// Storage, by month.
	Stored     = "storage"
	Noncurrent = "storage-noncurrent"
	LogStorage = "storage-logs"
	// The front.
	FrontInstance = "front-instance"
	FrontBalancer = "front-balancer"
	FrontBytes    = "front-bytes"
	FrontRules    = "front-rules"
	FrontRequests = "front-requests"
	FrontLogs     = "front-logs"
	// Fixed is an amount of dollars a month that the configuration states.
	Fixed = "fixed"
)
