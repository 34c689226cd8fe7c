package bill

import "slices"

// State says what becomes of an item of a real bill.
type State string

// The states of items.
const (
	Modelled   State = "modelled"             // computed from quantities and the tables
	FromBill   State = "taken from the bill"  // only the bill has it: report --billing shows it
	NotCounted State = "not counted, because" // left out; Why says the reason
)

// Item is one item of a real bill.
type Item struct {
	Name  string // a value of Meter.Item, or a name of its own where nothing is computed
	What  string // what is billed
	State State
	Why   string // where the quantity comes from, or why it is not counted
}

// Items lists every item of a real bill. docs/cost.md shows this list: a test compares them.
func (*Book) Items() []Item { return slices.Clone(items) }

var items = []Item{
	{Internet, "bytes from a bucket or registry to clients outside its cloud", Modelled, "logs or counters"},
	{SameCloud, "bytes to another region of the same cloud: clients, replication, copies", Modelled, "logs or counters"},
	{Free, "bytes within a region, and what providers do not bill", Modelled, "logs or counters; costs nothing"},
	{CDN, "bytes from a CDN to clients", Modelled, "logs or counters"},
	{Fill, "bytes from a bucket to the CDN before it", Modelled, "the bucket's log, class `origin`"},
	{"shield", "bytes and requests between the caches of a CDN", FromBill, "neither config nor logs say whether a shield is on"},
	{Read, "GET and HEAD requests to a bucket, also our own probes and audits", Modelled, "logs or counters"},
	{Write, "PUT, COPY and LIST requests to a bucket, also of the mirror", Modelled, "the bucket's log"},
	{CDNRequests, "requests to a CDN", Modelled, "logs or counters"},
	{"delete", "DELETE requests, requests of the provider's lifecycle", NotCounted, "providers do not bill them"},
	{Stored, "what a bucket holds", Modelled, "`billing.stored`, or inventories"},
	{Noncurrent, "old versions of objects, deleted objects that are kept", Modelled, "`billing.stored`: no inventory lists them"},
	{LogStorage, "access logs in a bucket", Modelled, "`billing.stored`"},
	{"early deletion", "the rest of the minimum duration of a deleted object", FromBill, "the store keeps blobs for years; `bill.Terms` has the days"},
	{"retrieval", "reading from an archive class of storage", NotCounted, "clients cannot read from one"},
	{"replication guarantees", "replication with a guaranteed time, turbo replication", FromBill, "a choice in the provider's console"},
	{"registry storage", "what an upstream registry stores", FromBill, "the registry would exist without the proxy"},
	{"scanning", "vulnerability scans in an upstream registry", NotCounted, "it does not depend on who serves the bytes"},
	{FrontInstance, "machines or containers that run the server", Modelled, "`billing.fronts`"},
	{FrontBalancer, "load balancers before the server", Modelled, "`billing.fronts`"},
	{FrontBytes, "bytes through these load balancers", Modelled, "requests × 600 bytes"},
	{FrontRules, "rules of an edge firewall", Modelled, "`billing.fronts`"},
	{FrontRequests, "requests that an edge firewall looks at", Modelled, "requests"},
	{FrontLogs, "intake of the server's logs", Modelled, "requests × `log.requests` × 700 bytes"},
	{"tools", "machines that run `mirror`, `probe`, `audit` and `report`", FromBill, "where they run is not in the config; put an amount under `billing.fixed`"},
	{"keys", "key services, certificates, name servers", FromBill, "some dollars a month; put an amount under `billing.fixed`"},
	{Fixed, "amounts that come each month: support, minimum of a CDN", Modelled, "`billing.fixed`"},
	{Unpriced, "what no price list has", NotCounted, "its price is not known: `billing.prices` or `price` sets it"},
	{"zone transfer", "bytes between zones of a region", NotCounted, "buckets have no zone, and redirects do not use a zone"},
	{"NAT and endpoints", "gateways that clients use in their own networks", NotCounted, "the client's owner pays them"},
	{"credits", "credits, refunds, adjustments", FromBill, "`report --billing` shows them apart"},
	{"taxes", "taxes", FromBill, "`report --billing` shows them apart"},
	{"commitments", "discounts that the provider computes over all its customers' services", FromBill, "set `discount` or `cents` to what they come to"},
}
