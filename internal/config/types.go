package config

import (
	"crypto/ed25519"
	"net/netip"
	"time"

	"ociproxy/internal/oci"
	"ociproxy/internal/place"
)

//go:generate go run ./gen

// The comments on the fields below are the manual: docs/config.md and docs/config.schema.json are generated from them.
// Write them for the operator who edits the file, not for the reader of the Go code.

// Config is the mapping at the top level of the file.
type Config struct {
	// Version is the version of the file's format. This release reads version 1 and refuses a newer version.
	Version int `yaml:"version" rule:"required" hint:"begin the file with version: 1"`
	// Listen is the address of the public port. PORT in the environment overrides the port.
	Listen string `yaml:"listen"`
	// Admin is the port for operators: metrics, explain and pprof, all without login. Keep it away from clients. Empty:
	// no such port.
	Admin Admin `yaml:"admin"`
	// Location is the place where this instance runs, such as `gcp/us-central1`. A client that the server cannot locate
	// borrows its coordinates (never its cloud). Without `location`, such a client is ranked by price only.
	Location place.Place `yaml:"location"`
	// Client says how to find the address of a client.
	Client Client `yaml:"client"`
	// Names are the names that clients know this registry by. You need them if the names differ in what they serve, and
	// for people who allow only the published hosts in their firewall: the list has the names from here. A host that is
	// not in any list is treated as `primary`.
	Names []Name `yaml:"names"`
	// Probe says who may ask this server as a client at any address.
	Probe Probe `yaml:"probe"`
	// Pages are web pages for people who open the registry's name in a browser.
	Pages Pages `yaml:"pages"`
	// TLS makes the public port speak HTTPS. Leave it out behind a load balancer that ends TLS.
	TLS TLS `yaml:"tls"`
	// Endpoints is the list of hosts that this server publishes for the people who configure firewalls.
	Endpoints Endpoints `yaml:"endpoints"`
	// Limits are bounds on connections, headers and time.
	Limits Limits `yaml:"limits"`
	// Ranges says which addresses belong to which place.
	Ranges Ranges `yaml:"ranges"`
	// Places adds places to the built-in map, or corrects them. The key is the place: `onprem/berlin`.
	Places map[place.Place]Site `yaml:"places"`
	// Upstreams are the OCI registries that hold the images. Exactly one is canonical. The file may have at most 256
	// upstreams and stores together.
	Upstreams []Upstream `yaml:"upstreams" rule:"required" hint:"name at least the registry that holds all images, with canonical: true"`
	// Stores are buckets and CDNs that serve blobs by digest.
	Stores []Store `yaml:"stores"`
	// Route controls which candidate gets a request.
	Route Route `yaml:"route"`
	// Health controls how the server watches stores and upstreams.
	Health Health `yaml:"health"`
	// Deny lists what the server never serves. The answer is `403 DENIED`.
	Deny Deny `yaml:"deny"`
	// Log controls the request log.
	Log Log `yaml:"log"`
	// Mirror says what `oci-proxyctl mirror` copies into the stores. The server ignores it.
	Mirror Mirror `yaml:"mirror"`
	// Promote says how `oci-proxyctl promote` waits for the stores. The server ignores it.
	Promote Promote `yaml:"promote"`
	// Billing says what `oci-proxyctl report` and `plan` take as prices. The server ignores it.
	Billing Billing `yaml:"billing"`

	// Hash is the lower-case hex SHA-256 of the file's bytes.
	Hash string `yaml:"-"`
	// Warnings are findings that do not stop the server, in line order.
	Warnings []*Error `yaml:"-"`

	places *place.Map // built while the file was read
	file   string     // what messages call the file
	text   []byte     // of the file, for Fault
}

// Admin is the port for operators: `admin: "127.0.0.1:9090"` is short for `admin: {listen: "127.0.0.1:9090"}`.
type Admin struct {
	// Listen is the address of this port. Empty: no such port.
	Listen string `yaml:"listen"`
	// Hosts are the host names, without port, under which clients may use this port, such as the name of a Service that
	// Prometheus scrapes. IP addresses and `localhost` always work. The server refuses any other name. Otherwise a web
	// page could point its own name at this port and read the answers in an operator's browser.
	Hosts []string `yaml:"hosts"`
	// Docs is the URL of your copy of this project's directory `docs/`. The console links to the runbook there. Empty: it
	// names the file and section only.
	Docs string `yaml:"docs"`
}

// Client says how to find the client's address.
type Client struct {
	// Behind names what stands in front of this server: the name of a preset, or your own rule. Default: `direct`.
	Behind Behind `yaml:"behind"`
	// Whoami opens `/-/whoami`. It shows a client its own address and place as this server sees them.
	Whoami bool `yaml:"whoami"`
}

// Behind is a front, the load balancer or CDN in front of the server: `behind: google-lb` is short for `behind:
// {preset: google-lb}`. The page client-address.md explains the presets.
type Behind struct {
	// Preset is the name of a known front. The other keys override what it says.
	Preset string `yaml:"preset"`
	// Header is the header with the client's address, such as `X-Forwarded-For`.
	Header string `yaml:"header"`
	// Entry says which entry of the header is the client, counted from the right. All lines of the header are joined
	// first. 0: the server walks from the right and skips trusted addresses.
	Entry int `yaml:"entry"`
	// Trusted are the peers whose header counts. Default: private, link-local and loopback addresses, and those that
	// the preset adds.
	Trusted []netip.Prefix `yaml:"trusted"`
	// Single says that the header has one value and must occur exactly once.
	Single bool `yaml:"single"`
	// Port says that the header's value always ends in `:port`, as CloudFront writes it.
	Port bool `yaml:"port"`
	// RequireHeader is a header that the request must have too, with the value of `requireValue`. Otherwise the server
	// does not take the peer for your front. It separates your own front from those of other customers of the same
	// provider: `X-Azure-FDID`. The value is not a secret.
	RequireHeader string `yaml:"requireHeader"`
	// RequireValue is the value that `requireHeader` must have.
	RequireValue string `yaml:"requireValue"`
	// ProxyProtocol requires a PROXY protocol header (v1 or v2) from trusted peers and refuses it from others.
	ProxyProtocol bool `yaml:"proxyProtocol"`
}

// Probe accepts the probe identity: `oci-proxyctl probe` asks as clients of every place, and the answer is the one that
// these clients get. It changes nothing that the server knows about clients, stores and upstreams. The page
// client-address.md explains it.
type Probe struct {
	// Keys are the keys whose identities count, at most 16. Without keys, the server ignores the header.
	Keys []ProbeKey `yaml:"keys"`
	// MaxRPS is the highest number of requests per second with such an identity on each instance, more than 0 and at
	// most 200. More requests get `429` with `Retry-After`. They do not count against the `maxRPS` of names and
	// upstreams.
	MaxRPS float64 `yaml:"maxRPS"`
}

// Enabled reports whether any identity can be accepted.
func (p Probe) Enabled() bool { return len(p.Keys) > 0 }

// ProbeKey is a key that signs probe identities.
type ProbeKey struct {
	// Name is the name of the key in the log: the team or machine that has the private key.
	Name string `yaml:"name" rule:"required"`
	// Key is the public key, 44 characters of base64. `oci-proxyctl key show` prints it.
	Key ed25519.PublicKey `yaml:"key" rule:"required" hint:"oci-proxyctl key new makes a key, and oci-proxyctl key show prints its public half"`
}

// Name is a group of host names of this registry that are treated alike.
type Name struct {
	// Hosts are the host names, without port, as clients write them: `direct.registry.example.org`.
	Hosts []string `yaml:"hosts" rule:"required"`
	// Role is `primary`, `legacy`, `sandbox` or `direct`. The first three are served alike. A `direct` name is for
	// clients that cannot reach the stores, for example in a cluster whose firewall allows nothing else. Its requests
	// go only to its `candidates`. If none of them can answer, they go to the canonical upstream.
	Role Role `yaml:"role"`
	// Candidates are the upstreams and stores that serve a `direct` name.
	Candidates []string `yaml:"candidates"`
	// MaxRPS is the highest number of requests per second for this name on each instance. More requests get `429` with
	// `Retry-After`. 0: no limit.
	MaxRPS float64 `yaml:"maxRPS"`
}

// Pages are web pages for people. A page that is not set answers 404.
type Pages struct {
	// Home is the target of the redirect from `/`.
	Home string `yaml:"home"`
	// Privacy is the target of the redirect from `/privacy`.
	Privacy string `yaml:"privacy"`
	// Status is the target of the redirect from `/-/status`: the page that `oci-proxyctl probe --status` writes, or any
	// other. It must not be on a host of this registry, of its upstreams or of its stores: it would fall with them. The
	// page public-status.md explains it.
	Status string `yaml:"status"`
}

// Endpoints is the list of all hosts that clients may be sent to. The server publishes it at
// `/.well-known/oci-proxy/endpoints.json`, and the changes that you announced in it at
// `/.well-known/oci-proxy/endpoints.atom`. The page firewalls.md explains both.
type Endpoints struct {
	// Notice is how long in advance you announce a host: `336h` is 14 days. The list says so, and `oci-proxyctl
	// endpoints diff` warns of hosts that come or go with less notice. 0: you promise nothing.
	Notice time.Duration `yaml:"notice"`
	// Wildcards are host patterns that users allow once and for all, such as `*.blobs.example.org`. A star stands for
	// one label. If they cover all hosts of a store or upstream, it gets traffic at once, even if `announce` has a later
	// date. At most 64.
	Wildcards []string `yaml:"wildcards"`
	// Signed is a file with a list that you signed elsewhere, a DSSE envelope in JSON. The server passes it on unchanged
	// at `/.well-known/oci-proxy/endpoints.dsse.json`, and reads it again when it changes. It may have at most 4 MiB.
	Signed string `yaml:"signed"`
}

// Announce says when a host comes into use and when it goes, so that users can open their firewalls in time. A date
// such as `2026-12-10` begins at 00:00 UTC; a time is written `2026-12-10T09:00:00Z`.
type Announce struct {
	// From is the date of the first traffic. Before it, the candidate gets none, even if it is `active`. You need no
	// reload or restart on this date.
	From time.Time `yaml:"from"`
	// Until is the date from which the candidate gets no new traffic, as if it were `draining`. The published list names
	// its hosts until you set the state to `off` or remove the stanza.
	Until time.Time `yaml:"until"`
}

// TLS is the certificate of the public port. The server reads the files again when they change.
type TLS struct {
	// Cert is the PEM file with the certificate chain.
	Cert string `yaml:"cert"`
	// Key is the PEM file with the private key.
	Key string `yaml:"key"`
	// MinVersion is the oldest TLS version that the server accepts.
	MinVersion TLSVersion `yaml:"minVersion"`
}

// Enabled reports whether the public port speaks HTTPS.
func (t TLS) Enabled() bool { return t.Cert != "" }

// Limits are bounds that protect the server from slow, greedy and broken peers.
type Limits struct {
	// MaxConnections is how many client connections may be open at once. When they are all in use, a new connection
	// replaces one of the client network that has the most (IPv4 /24, IPv6 /48), an idle one first. To make room, the
	// server never closes connections of load balancers that `client.behind` trusts. If the process may open fewer
	// files, it accepts fewer connections. 0: as many as the process may open.
	MaxConnections int `yaml:"maxConnections"`
	// HeaderBytes is the largest request header that the server accepts, in bytes.
	HeaderBytes int `yaml:"headerBytes"`
	// ReadHeaderTimeout is how long a client may take to send the header of a request.
	ReadHeaderTimeout time.Duration `yaml:"readHeaderTimeout"`
	// ReadTimeout is how long a client may take to send a complete request.
	ReadTimeout time.Duration `yaml:"readTimeout"`
	// WriteTimeout is how long the server may take to write an answer. It must be longer than 10 s: a relayed tag list
	// may take 5 s at a near upstream and then 5 s at the canonical one.
	WriteTimeout time.Duration `yaml:"writeTimeout"`
	// IdleTimeout is how long the server keeps an idle connection. A load balancer sends requests of many clients over
	// one connection. Behind one, this timeout must be longer than the load balancer's own; otherwise some requests go
	// into a connection that is just closing. Google's load balancer keeps connections for 600 s, so use at least 620 s
	// there. Default behind a load balancer: 650 s. Where clients connect themselves (`behind: direct`, or only the
	// PROXY protocol) the default is 75 s, so that idle connections do not use up `maxConnections`.
	IdleTimeout time.Duration `yaml:"idleTimeout"`
	// MaxStreams is how many HTTP/2 streams one connection may have open.
	MaxStreams int `yaml:"maxStreams"`
	// CheckTimeout is the longest time that one request waits for candidates to say whether they hold a digest. It
	// holds once for each digest. Within it, the wait follows the candidate: twice the time in which 95 of 100 of its
	// recent answers came, but at least 300 ms and at least three tenths of this key. While nothing is known about the
	// candidate, it is this key. The wait for a candidate that stays silent gets shorter each time. A late answer
	// serves the next request.
	CheckTimeout time.Duration `yaml:"checkTimeout"`
	// StoreRecords is how many records, tombstones included, the inventory of one store may list. The server refuses a
	// longer inventory and keeps the last good one. With `ranges.cache` not everything is in memory, so the default is
	// 25000000. The server downloads inventories of one store with at most 70 bytes for each of these records in an
	// hour.
	StoreRecords int `yaml:"storeRecords"`
	// Digests is how many digests the inventories of all stores may name together. If an update of a store would exceed
	// this, the server keeps the last good inventory of that store. A digest takes some 42 bytes in the table (sha512:
	// 74), and twice that during a refresh. The default is twice `storeRecords`, so that one store that lists too much
	// leaves room for the others.
	Digests int `yaml:"digests"`
	// Drain is how long the server continues to answer after SIGTERM. It is not ready during this time, so that the
	// load balancer can stop using it. When PORT is set, it is at most 8 s, because Cloud Run and similar platforms
	// kill the process after 10 s.
	Drain time.Duration `yaml:"drain"`
}

// Site is a place of your own, or a correction to a built-in one. A key that you leave out keeps the built-in value.
type Site struct {
	// Lat is the latitude in degrees, north positive. Required for a place that is not built in.
	Lat *float64 `yaml:"lat"`
	// Lon is the longitude in degrees, east positive. Required for a place that is not built in.
	Lon *float64 `yaml:"lon"`
	// Country is the ISO 3166-1 alpha-2 code: `DE`. It selects the cables. Required for a place that is not built in.
	Country string `yaml:"country"`
	// Name is a name for people.
	Name string `yaml:"name"`
	// Partition separates places of one cloud that do not give each other the cloud's own price (AWS China, GovCloud).
	// Default: the cloud.
	Partition string `yaml:"partition"`
	// Aliases are other spellings of the region in this cloud's feeds.
	Aliases []string `yaml:"aliases"`
	// Price is the price of bytes that leave this place, if it differs from the list price.
	Price place.Override `yaml:"price"`
}

// Upstream is an OCI registry that holds the images.
type Upstream struct {
	// Name is the name in metrics, logs and pins. It is unique among upstreams and stores.
	Name string `yaml:"name" rule:"required"`
	// URL is the registry's address, scheme and host only: `https://europe-west1-docker.pkg.dev`.
	URL string `yaml:"url" rule:"required"`
	// Prefix is the path before the name of the repository: `project/images`.
	Prefix string `yaml:"prefix"`
	// Place is the place of the registry.
	Place place.Place `yaml:"place" rule:"required"`
	// Canonical marks the one upstream that has everything. It is the last resort of every request.
	Canonical bool `yaml:"canonical"`
	// Serves limits the clients that it serves, as for a store. The canonical upstream is still the last resort for all
	// clients.
	Serves Serves `yaml:"serves"`
	// State is the same as for a store. The canonical upstream must be active.
	State State `yaml:"state"`
	// Price is the price of its bytes, if it differs from the list price.
	Price place.Override `yaml:"price"`
	// MaxRPS protects the quota of the registry. More requests per second get `429` with `Retry-After`. Probes and
	// checks use what clients leave, or a tenth if clients use everything. 0: no limit.
	MaxRPS float64 `yaml:"maxRPS"`
	// Lag is how far this upstream may be behind the canonical one with a tag that moves: the longest time that your
	// replication takes. If the server sent a client network elsewhere for a tag, it does not send the network here for
	// that tag during this time. So a client that asks again does not see an older image. 0: it is never behind. The
	// canonical upstream has no lag.
	Lag time.Duration `yaml:"lag"`
	// Families are the IP families that clients can reach it by.
	Families Families `yaml:"families"`
	// RedirectsTo are the hosts that this registry sends clients on to, for example for layers. They are published, as
	// for a store.
	RedirectsTo []string `yaml:"redirectsTo"`
	// Announce says when clients may be sent here. The canonical upstream cannot have it.
	Announce Announce `yaml:"announce"`
	// Insecure permits an `http://` URL. Use it only for tests and closed networks.
	Insecure bool `yaml:"insecure"`
}

// Store is an HTTPS base URL that serves blobs by digest: a bucket or a CDN.
type Store struct {
	// Name is the name in metrics, logs and pins. It is unique among upstreams and stores.
	Name string `yaml:"name" rule:"required"`
	// Place is where the bytes are. Required unless `cdn` is set.
	Place place.Place `yaml:"place"`
	// CDN says that this store is a CDN, which is near every client, and whose price list applies. `other`: set
	// `price`.
	CDN string `yaml:"cdn"`
	// URL is the target of redirects, with `{digest}` once in its path:
	// `https://bucket.example/containers/images/{digest}`.
	URL string `yaml:"url" rule:"required"`
	// Check is the URL, with `{digest}`, that the server itself uses for `HEAD` requests and probes. Set it when `url`
	// is a CDN in front of a bucket. Default: `url`.
	Check string `yaml:"check"`
	// Inventory is the published list of what the store holds. Without it, the server asks the store by `HEAD` for each
	// digest.
	Inventory Inventory `yaml:"inventory"`
	// Bucket is what `oci-proxyctl` writes to: `s3://name?region=…`, `gs://name`, `azblob://account/container`,
	// `file:///dir`. The server ignores it.
	Bucket string `yaml:"bucket"`
	// Owner is the account that must own the bucket. `oci-proxyctl` does not write to a bucket of another account. The
	// server ignores it.
	Owner string `yaml:"owner"`
	// Serves says which clients the store may serve, because its owner pays. A list of clouds serves the clients of
	// these clouds; `all` serves all clients. `internet` serves clients of clouds that no store names and no upstream
	// is in. Where it is cheaper, `internet` also serves clients that no candidate of their cloud serves at the cloud's
	// own price. Examples are GovCloud when all buckets are in the rest of AWS, and a region that is not on the map.
	Serves Serves `yaml:"serves" rule:"required" hint:"its owner pays: list clouds, [internet] or [all]"`
	// State is `active`: the store gets traffic; `filling`: the store is being filled and gets no traffic yet;
	// `draining`: you will remove the store, and it gets no new traffic; `off`: the server ignores the store.
	State State `yaml:"state"`
	// Rollout is the share of clients, in percent, that the server may send here. It selects the same clients each
	// time.
	Rollout int `yaml:"rollout"`
	// Price is the price of its bytes, if it differs from the list price.
	Price place.Override `yaml:"price"`
	// Families are the IP families that clients can reach it by. The server never sends a client of another family
	// here.
	Families Families `yaml:"families"`
	// RedirectsTo are the hosts that the server behind `url` sends clients on to: `cdn.example.org`, or with a star for
	// one label `*.r2.cloudflarestorage.com`. Write a port if it is not 443. The server only publishes them. At most 16.
	RedirectsTo []string `yaml:"redirectsTo"`
	// Announce says when clients may be sent here: `announce: {from: 2026-12-10}`.
	Announce Announce `yaml:"announce"`
	// RequestID gives each redirect to the store an id of its own, as the parameter `x-rid` of the URL. The store's access
	// log then has the id of the line of the server's log. Set it only when `oci-proxyctl check` shows that the store ignores
	// the parameter, and that a CDN keeps it out of its cache key.
	RequestID bool `yaml:"requestID"`
	// Insecure permits `http://` URLs. Use it only for tests and closed networks.
	Insecure bool `yaml:"insecure"`
}

// Inventory says where a store publishes the list of what it holds.
type Inventory struct {
	// URL is the address of the directory that has `head.json` and `seg/`.
	URL string `yaml:"url" rule:"required"`
	// Refresh is how often the server asks for the head of the inventory.
	Refresh time.Duration `yaml:"refresh"`
	// StaleAfter is the age at which the server no longer believes the inventory. It then asks the store by `HEAD`.
	StaleAfter time.Duration `yaml:"staleAfter"`
}

// Enabled reports whether the store publishes an inventory.
func (i Inventory) Enabled() bool { return i.URL != "" }

// Route controls which candidate gets a request: the one with the lowest `latency + costWeight × price`.
type Route struct {
	// CostWeight is how many milliseconds one US cent per GiB is worth. 0: latency only.
	CostWeight float64 `yaml:"costWeight"`
	// MonthlyTB is the traffic per month, in TB of 2⁴⁰ bytes, as the providers' tiers count it. It selects the price tier
	// for the score, and for nothing else: `billing` says what bills begin with. 0: the first tier.
	MonthlyTB float64 `yaml:"monthlyTB"`
	// Latency is a file of measured round-trip times (CSV lines `from,to,ms`) that replace the built-in estimate.
	Latency string `yaml:"latency"`
	// Pins are rules that send some clients to named candidates only. The first pin that matches counts.
	Pins []Pin `yaml:"pin"`
}

// Health controls how the server watches stores and upstreams. It takes a candidate out after 3 failed probes in a row,
// which it makes about a second apart. It brings the candidate back after 5 good probes.
type Health struct {
	// Interval is how often the server probes the candidates that get clients or would be next.
	Interval time.Duration `yaml:"interval"`
	// IdleInterval is how often the server probes the other candidates.
	IdleInterval time.Duration `yaml:"idleInterval"`
	// Timeout is the longest time for one probe.
	Timeout time.Duration `yaml:"timeout"`
}

// Pin sends the clients of a range or of a cloud to named candidates only.
type Pin struct {
	// CIDR is the range of the clients. Set either this or `cloud`.
	CIDR netip.Prefix `yaml:"cidr"`
	// Cloud is the cloud of the clients. Set either this or `cidr`.
	Cloud string `yaml:"cloud"`
	// To are the names of upstreams and stores.
	To []string `yaml:"to" rule:"required"`
}

// Deny lists what the server never serves.
type Deny struct {
	// Digests are digests of blobs and manifests. The server refuses requests by these digests, and by tags that point
	// to them. While the list has a digest, the server asks the upstream by `HEAD` what a tag points to, and remembers
	// the answer for 15 s. It serves a tag of which it cannot learn this in time. So list the layers of the image too:
	// clients always ask for layers by digest.
	Digests []oci.Digest `yaml:"digests"`
	// Repositories are full names, as the client writes them.
	Repositories []string `yaml:"repositories"`
}

// Log controls the request log.
type Log struct {
	// Requests is the share of requests that the server logs, 0 to 1. Each line has its weight.
	Requests float64 `yaml:"requests"`
	// Client is how much of the client's address the log shows: `prefix` (/24, /48), `full` or `none`.
	Client LogClient `yaml:"client"`
	// Level is the lowest level that the server logs: `debug`, `info`, `warn` or `error`.
	Level LogLevel `yaml:"level"`
	// Format is the form of a line: `json`, or `text` for a terminal.
	Format LogFormat `yaml:"format"`
}
