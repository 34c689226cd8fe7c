package config

import (
	"net/netip"
	"time"

	"ociproxy/internal/oci"
	"ociproxy/internal/place"
)

//go:generate go run ./gen

// The comment on each field below is the manual: docs/config.md and docs/config.schema.json are generated from them.
// Write them for the operator who edits the file, not for the reader of the Go code.

// Config is the whole file.
type Config struct {
	// Version is the version of the file's format. This release reads version 1; a newer version is refused.
	Version int `yaml:"version" rule:"required" hint:"begin the file with version: 1"`
	// Listen is the address of the public port. PORT in the environment overrides the port.
	Listen string `yaml:"listen"`
	// Admin is the operators' port: metrics, explain, pprof, all without login. Keep it away from clients. Empty: no such
	// port.
	Admin Admin `yaml:"admin"`
	// Location is the place where this instance runs, such as `gcp/us-central1`. A client nobody can locate borrows its
	// coordinates (never its cloud). Without it such a client is ranked by price only.
	Location place.Place `yaml:"location"`
	// Client says how to learn the address of a client.
	Client Client `yaml:"client"`
	// Names are the names that clients know this registry by, where they are not all treated alike. A host that no name
	// lists is served as a primary one.
	Names []Name `yaml:"names"`
	// Pages are web pages for people who open the registry's name in a browser.
	Pages Pages `yaml:"pages"`
	// TLS makes the public port speak HTTPS. Leave it out behind a load balancer that ends TLS.
	TLS TLS `yaml:"tls"`
	// Limits are bounds on connections, headers and time.
	Limits Limits `yaml:"limits"`
	// Ranges says which addresses are where.
	Ranges Ranges `yaml:"ranges"`
	// Places adds places to the built-in map, or corrects them. The key is the place: `onprem/berlin`.
	Places map[place.Place]Site `yaml:"places"`
	// Upstreams are the OCI registries that hold the images. Exactly one is canonical. Upstreams and stores together: at
	// most 256.
	Upstreams []Upstream `yaml:"upstreams" rule:"required" hint:"name at least the registry that holds all images, with canonical: true"`
	// Stores are buckets and CDNs that serve blobs by digest.
	Stores []Store `yaml:"stores"`
	// Route tunes where requests go.
	Route Route `yaml:"route"`
	// Health tunes how stores and upstreams are watched.
	Health Health `yaml:"health"`
	// Deny lists what is never served: the answer is `403 DENIED`.
	Deny Deny `yaml:"deny"`
	// Log tunes the request log.
	Log Log `yaml:"log"`
	// Mirror says what `oci-proxyctl mirror` copies into the stores. The server ignores it.
	Mirror Mirror `yaml:"mirror"`
	// Promote says how `oci-proxyctl promote` waits for the stores. The server ignores it.
	Promote Promote `yaml:"promote"`

	// Hash is the lower-case hex SHA-256 of the file's bytes.
	Hash string `yaml:"-"`
	// Warnings are findings that do not stop the server, in line order.
	Warnings []*Error `yaml:"-"`

	places *place.Map // built while the file was read
	file   string     // what messages call the file
	text   []byte     // of the file, for Fault
}

// Admin is the operators' port: `admin: "127.0.0.1:9090"` is short for `admin: {listen: "127.0.0.1:9090"}`.
type Admin struct {
	// Listen is its address. Empty: no such port.
	Listen string `yaml:"listen"`
	// Hosts are the names, without port, by which this port may be asked: those of a Service that Prometheus scrapes. IP
	// addresses and `localhost` may always be used. Any other name is refused, for a web page can give its own name the
	// address of this port, and would then read it in an operator's browser.
	Hosts []string `yaml:"hosts"`
}

// Client says how to learn the client's address.
type Client struct {
	// Behind names what stands in front of this server: a preset's name, or the rule spelled out. Default: `direct`.
	Behind Behind `yaml:"behind"`
	// Whoami opens `/-/whoami`, which tells a client its own address and place as this server sees them.
	Whoami bool `yaml:"whoami"`
}

// Behind is a front: `behind: google-lb` is short for `behind: {preset: google-lb}`.
type Behind struct {
	// Preset is the name of a known front. The other keys override what it says. What each front does: client-address.md.
	Preset string `yaml:"preset"`
	// Header carries the client's address, such as `X-Forwarded-For`.
	Header string `yaml:"header"`
	// Entry is which entry of the header is the client, counted from the right over all lines of the header joined.
	// 0: walk from the right past trusted addresses.
	Entry int `yaml:"entry"`
	// Trusted are the peers whose header counts. Default: private, link-local and loopback addresses, or the preset's own.
	Trusted []netip.Prefix `yaml:"trusted"`
	// Single says that the header holds one value and must occur exactly once.
	Single bool `yaml:"single"`
	// Port says that the header's value always ends in `:port`, as CloudFront writes it.
	Port bool `yaml:"port"`
	// RequireHeader must be in the request too, with `requireValue`, or the peer is not taken for your front. It tells your
	// own front from another customer's of the same provider: `X-Azure-FDID`. This is no secret.
	RequireHeader string `yaml:"requireHeader"`
	// RequireValue is what `requireHeader` must hold.
	RequireValue string `yaml:"requireValue"`
	// ProxyProtocol requires a PROXY protocol header (v1 or v2) from trusted peers and refuses it from others.
	ProxyProtocol bool `yaml:"proxyProtocol"`
}

// Name is what clients call this registry.
type Name struct {
	// Hosts are the host names, without port, as clients write them: `direct.registry.example.org`.
	Hosts []string `yaml:"hosts" rule:"required"`
	// Role is `primary`, `legacy`, `sandbox` or `direct`. The first three are served alike. A `direct` name is for
	// clients that cannot reach the stores, such as a cluster whose firewall allows nothing else: its requests go to its
	// `candidates` only, and to the canonical upstream when none of them can answer.
	Role Role `yaml:"role"`
	// Candidates names the upstreams and stores that a `direct` name is served by.
	Candidates []string `yaml:"candidates"`
	// MaxRPS bounds what this name may cost: more requests per second, on each instance, are answered `429` with
	// `Retry-After`. 0: no limit.
	MaxRPS float64 `yaml:"maxRPS"`
}

// Pages are web pages for people. Unset ones answer 404.
type Pages struct {
	// Home is where `/` redirects to.
	Home string `yaml:"home"`
	// Privacy is where `/privacy` redirects to.
	Privacy string `yaml:"privacy"`
}

// TLS is the public port's certificate. The files are read again when they change.
type TLS struct {
	// Cert is the PEM file with the certificate chain.
	Cert string `yaml:"cert"`
	// Key is the PEM file with the private key.
	Key string `yaml:"key"`
	// MinVersion is the oldest TLS version accepted.
	MinVersion TLSVersion `yaml:"minVersion"`
}

// Enabled reports whether the public port speaks HTTPS.
func (t TLS) Enabled() bool { return t.Cert != "" }

// Limits protect the server from slow, greedy and broken peers.
type Limits struct {
	// MaxConnections is how many client connections may be open at once. When they are, the client network with the most
	// (IPv4 /24, IPv6 /48) gives up one for each newcomer of another: an idle one first. Connections of load balancers that
	// `client.behind` trusts are never closed for others. Fewer where the process may not open as many files. 0: as many as
	// it may.
	MaxConnections int `yaml:"maxConnections"`
	// HeaderBytes is the largest request header accepted, in bytes.
	HeaderBytes int `yaml:"headerBytes"`
	// ReadHeaderTimeout is how long a client may take to send a request's header.
	ReadHeaderTimeout time.Duration `yaml:"readHeaderTimeout"`
	// ReadTimeout is how long a client may take to send a whole request.
	ReadTimeout time.Duration `yaml:"readTimeout"`
	// WriteTimeout is how long an answer may take to be written. Longer than 10 s: a relayed tag list may take 5 s of a near
	// upstream and then 5 s of the canonical one.
	WriteTimeout time.Duration `yaml:"writeTimeout"`
	// IdleTimeout is how long an idle connection is kept. Behind a load balancer that sends many clients' requests over one
	// connection it must be longer than the balancer's own (Google's keeps 600 s, so 620 s is the least there), or now and
	// then a request goes into a closing connection: the default there is 650 s. Where connections are the clients' own
	// (`behind: direct`, or the PROXY protocol alone) it is 75 s, so that idle ones do not use up `maxConnections`.
	IdleTimeout time.Duration `yaml:"idleTimeout"`
	// MaxStreams is how many HTTP/2 streams one connection may have open.
	MaxStreams int `yaml:"maxStreams"`
	// CheckTimeout is the longest that one request waits for candidates to say whether they hold a digest, once for each
	// digest. How long it waits in it follows the candidate: twice what 95 of 100 of its answers took lately, at least three
	// tenths of this key and 300 ms, and all of it while nothing is known about the candidate. One that is silent is
	// waited for ever shorter. What comes later is used for the next request.
	CheckTimeout time.Duration `yaml:"checkTimeout"`
	// StoreRecords is how many records the inventory of one store may list, tombstones too; a longer one is refused, and the
	// last good one stays. With `ranges.cache`, where it is not all in memory, the default is 25000000. An hour may bring as many bytes of one store's lists as one at this bound takes, 70 a record.
	StoreRecords int `yaml:"storeRecords"`
	// Digests is how many digests the inventories of all stores may name together; whose news would be more keeps its last good
	// list. Some 42 bytes each in the table, 74 by sha512, and twice that during a refresh. The default is twice `storeRecords`,
	// so that one store that lists too much leaves room for what all others have.
	Digests int `yaml:"digests"`
	// Drain is how long the server keeps answering after SIGTERM, not ready, so that the load balancer can move away.
	// When PORT is set (Cloud Run and its kind kill after 10 s) at most 8 s.
	Drain time.Duration `yaml:"drain"`
}

// Ranges says which addresses are where: overrides first, then feeds by longest prefix, then GeoIP.
type Ranges struct {
	// Refresh is how often feeds are fetched again, if they changed.
	Refresh time.Duration `yaml:"refresh"`
	// Cache is a directory for the last good copy of each feed. Without it a restart begins with the seed.
	Cache string `yaml:"cache"`
	// Seed is a directory of feed files baked into an image, the first baseline when there is neither network nor cache. They
	// are named for their feed: `aws.json`, `gcp.json`, `azure.json`, a geofeed for its cloud: `linode.csv`. The second of a kind has a number:
	// `csv-2.csv`. A feed without a file is logged.
	Seed string `yaml:"seed"`
	// Feeds are the published address ranges to load.
	Feeds []Feed `yaml:"feeds"`
	// Overrides are your own address ranges. They win over every feed; among themselves the longest prefix wins.
	Overrides []RangeOverride `yaml:"overrides"`
	// GeoIP locates the addresses that no feed names.
	GeoIP GeoIP `yaml:"geoip"`
}

// Feed is a provider's published IP ranges.
type Feed struct {
	// Provider is the format, and for `aws`, `gcp`, `azure`, `oracle`, `exoscale` and `vultr` the cloud too.
	// `geofeed` is RFC 8805 (DigitalOcean, Linode); `csv` has lines of `prefix,place`.
	Provider Provider `yaml:"provider" rule:"required"`
	// Cloud is whose ranges a `geofeed` lists. Each row becomes the nearest region of that cloud.
	Cloud string `yaml:"cloud"`
	// URL is where to fetch it. Default: the provider's own address, where it has a stable one; `azure`, `geofeed` and `csv`
	// need `url` or `file`.
	URL string `yaml:"url"`
	// File is a file to read instead of a URL. It is read again at each refresh.
	File string `yaml:"file"`
	// Insecure permits an `http://` URL. Only for tests: whoever sits on the line decides who is where.
	Insecure bool `yaml:"insecure"`
}

// RangeOverride puts one of your own ranges into a place.
type RangeOverride struct {
	// CIDR is the range, without host bits: `198.51.100.0/24`.
	CIDR netip.Prefix `yaml:"cidr" rule:"required"`
	// Place is where it is.
	Place place.Place `yaml:"place" rule:"required"`
}

// GeoIP is the fallback for addresses that no feed names: MaxMind DB (mmdb) files you supply.
type GeoIP struct {
	// City is an mmdb file with coordinates or countries.
	City string `yaml:"city"`
	// ASN is an mmdb file with autonomous system numbers.
	ASN string `yaml:"asn"`
	// Clouds says which AS number belongs to which cloud: `{16509: aws}`. Needs `asn`.
	Clouds map[uint32]string `yaml:"clouds"`
}

// Enabled reports whether any mmdb file is configured.
func (g GeoIP) Enabled() bool { return g.City != "" || g.ASN != "" }

// Site is a place of your own, or a correction to a built-in one. Keys left out keep the built-in value.
type Site struct {
	// Lat is the latitude in degrees, north positive. Required for a place that is not built in.
	Lat *float64 `yaml:"lat"`
	// Lon is the longitude in degrees, east positive. Required for a place that is not built in.
	Lon *float64 `yaml:"lon"`
	// Country is the ISO 3166-1 alpha-2 code: `DE`. It chooses the cables. Required for a place that is not built in.
	Country string `yaml:"country"`
	// Name is for people.
	Name string `yaml:"name"`
	// Partition separates places of one cloud that bill each other as strangers (AWS China, GovCloud). Default: the cloud.
	Partition string `yaml:"partition"`
	// Aliases are other spellings of the region in this cloud's feeds.
	Aliases []string `yaml:"aliases"`
	// Price is what bytes that leave this place cost, where that is not the list price.
	Price place.Override `yaml:"price"`
}

// Upstream is an OCI registry that holds the images.
type Upstream struct {
	// Name appears in metrics, logs and pins. Unique among upstreams and stores.
	Name string `yaml:"name" rule:"required"`
	// URL is the registry's address, scheme and host only: `https://europe-west1-docker.pkg.dev`.
	URL string `yaml:"url" rule:"required"`
	// Prefix is put before the repository's name: `project/images`.
	Prefix string `yaml:"prefix"`
	// Place is where it is.
	Place place.Place `yaml:"place" rule:"required"`
	// Canonical marks the one upstream that has everything. It is the last resort of every request.
	Canonical bool `yaml:"canonical"`
	// Serves limits whose requests it gets, as for a store. The canonical one is still everybody's last resort.
	Serves Serves `yaml:"serves"`
	// State is as for a store. The canonical upstream must be active.
	State State `yaml:"state"`
	// Price is what its bytes cost, where that is not the list price.
	Price place.Override `yaml:"price"`
	// MaxRPS protects its quota: more requests per second are answered `429` with `Retry-After`. Probes and checks take
	// what clients leave, or a tenth when clients use it up. 0: no limit.
	MaxRPS float64 `yaml:"maxRPS"`
	// Lag is how far it may be behind the canonical upstream with a tag that moves: the longest that your replication takes.
	// A client network that was sent elsewhere for a tag is not sent here for it until then, so that nobody who asks again
	// sees an older image. 0: it is never behind. The canonical upstream has no lag.
	Lag time.Duration `yaml:"lag"`
	// Families are the IP families it can be reached by.
	Families Families `yaml:"families"`
	// Insecure permits an `http://` URL. Only for tests and closed networks.
	Insecure bool `yaml:"insecure"`
}

// Store is an HTTPS base URL that serves blobs by digest: a bucket or a CDN.
type Store struct {
	// Name appears in metrics, logs and pins. Unique among upstreams and stores.
	Name string `yaml:"name" rule:"required"`
	// Place is where the bytes are. Required unless `cdn` is set.
	Place place.Place `yaml:"place"`
	// CDN says that this store is a CDN, reachable near every client, and whose price list applies. `other`: set `price`.
	CDN string `yaml:"cdn"`
	// URL is what clients are sent to, with `{digest}` once in its path: `https://bucket.example/containers/images/{digest}`.
	URL string `yaml:"url" rule:"required"`
	// Check is the URL, with `{digest}`, that this server itself asks (HEAD, probes), when `url` is a CDN in front of a
	// bucket. Default: `url`.
	Check string `yaml:"check"`
	// Inventory is the published list of what the store holds. Without it each digest is asked for by HEAD.
	Inventory Inventory `yaml:"inventory"`
	// Bucket is what `oci-proxyctl` writes to: `s3://name?region=…`, `gs://name`, `azblob://account/container`,
	// `file:///dir`. The server ignores it.
	Bucket string `yaml:"bucket"`
	// Owner is the account that must own the bucket; writes to a bucket of anyone else are refused. The server ignores it.
	Owner string `yaml:"owner"`
	// Serves says whom the store may serve, since its owner pays: clouds by name; `internet`: every client whose cloud no
	// store names and no upstream lives in, and, where that is cheaper, those whom no one of their cloud serves at its own
	// price: GovCloud when all buckets are in the rest of AWS, say, or a region that is not on the map; `all`.
	Serves Serves `yaml:"serves" rule:"required" hint:"its owner pays: list clouds, [internet] or [all]"`
	// State is `active`; `filling`, being filled, no traffic yet; `draining`, about to go, no new traffic; or `off`, as if
	// it were not in the file.
	State State `yaml:"state"`
	// Rollout is the share of clients, in percent, that may be sent here. The same clients each time.
	Rollout int `yaml:"rollout"`
	// Price is what its bytes cost, where that is not the list price.
	Price place.Override `yaml:"price"`
	// Families are the IP families it can be reached by. A client of another family is never sent here.
	Families Families `yaml:"families"`
	// Insecure permits `http://` URLs. Only for tests and closed networks.
	Insecure bool `yaml:"insecure"`
}

// Inventory is where a store publishes the list of what it holds.
type Inventory struct {
	// URL is the address of the directory that holds `head.json` and `seg/`.
	URL string `yaml:"url" rule:"required"`
	// Refresh is how often its head is asked for.
	Refresh time.Duration `yaml:"refresh"`
	// StaleAfter is the age at which the inventory is no longer believed and digests are asked for by HEAD.
	StaleAfter time.Duration `yaml:"staleAfter"`
}

// Enabled reports whether the store publishes an inventory.
func (i Inventory) Enabled() bool { return i.URL != "" }

// Route tunes where requests go: the lowest `latency + costWeight × price` first.
type Route struct {
	// CostWeight is how many milliseconds one US cent per GB is worth. 0: latency only.
	CostWeight float64 `yaml:"costWeight"`
	// MonthlyTB is the traffic per month, in TB, that chooses the price tier. 0: the first tier.
	MonthlyTB float64 `yaml:"monthlyTB"`
	// Latency is a file of measured round-trip times (CSV lines `from,to,ms`) that replace the built-in estimate.
	Latency string `yaml:"latency"`
	// Pins send some clients to named candidates only. The first one that matches counts.
	Pins []Pin `yaml:"pin"`
}

// Health tunes how stores and upstreams are watched. A candidate is taken out after 3 failed probes in a row, which are
// made about a second apart, and comes back after 5 good ones.
type Health struct {
	// Interval is how often candidates are probed that clients are sent to or would be next.
	Interval time.Duration `yaml:"interval"`
	// IdleInterval is how often the others are probed.
	IdleInterval time.Duration `yaml:"idleInterval"`
	// Timeout bounds one probe.
	Timeout time.Duration `yaml:"timeout"`
}

// Pin sends the clients of a range or of a cloud to named candidates only.
type Pin struct {
	// CIDR is the range of the clients. Either this or `cloud`.
	CIDR netip.Prefix `yaml:"cidr"`
	// Cloud is the cloud of the clients. Either this or `cidr`.
	Cloud string `yaml:"cloud"`
	// To names upstreams and stores.
	To []string `yaml:"to" rule:"required"`
}

// Deny lists what is never served.
type Deny struct {
	// Digests are digests of blobs and manifests, refused when asked for by digest. A manifest can still be pulled **by
	// tag**: this server does not know what a tag stands for. List its layers too, which are always asked for by digest.
	Digests []oci.Digest `yaml:"digests"`
	// Repositories are full names, as the client writes them.
	Repositories []string `yaml:"repositories"`
}

// Log tunes the request log.
type Log struct {
	// Requests is the share of requests that are logged, 0 to 1. Each line carries its weight.
	Requests float64 `yaml:"requests"`
	// Client is how much of the client's address is logged: `prefix` (/24, /48), `full` or `none`.
	Client LogClient `yaml:"client"`
	// Level is the least level logged: `debug`, `info`, `warn` or `error`.
	Level LogLevel `yaml:"level"`
	// Format is the shape of a line: `json`, or `text` for a terminal.
	Format LogFormat `yaml:"format"`
}
