package clientip

// These are the known fronts: which header each of them writes, and from which addresses it connects. The private
// prefixes are trusted for every front, because a service mesh, an ingress or the private address of a load balancer is
// often in between.
//
// The public lists are copies. When a provider adds a prefix that is missing here, requests from it are counted as
// "peer-untrusted". Until the next release, write out the rule with the provider's current list.

type preset struct {
	name  string
	rule  Rule
	peers string // in addition to private
}

const xff = "X-Forwarded-For"

var presets = []preset{
	{name: "direct"},
	// Appends "client, load balancer" to what the client sent.
	// cloud.google.com/load-balancing/docs/https#x-forwarded-for_header
	{name: "google-lb", rule: Rule{Header: xff, Entry: 2}, peers: googleFrontEnds},
	// Appends "client". Connects from a link-local address.
	{name: "cloud-run", rule: Rule{Header: xff, Entry: 1}},
	// Appends "client" in its default mode, routing.http.xff_header_processing.mode=append. Connects from the subnets
	// that it is in.
	{name: "aws-alb", rule: Rule{Header: xff, Entry: 1}},
	// Sets "address:port", with IPv6 without brackets, when the origin request policy asks for it.
	{name: "cloudfront", rule: Rule{Header: "CloudFront-Viewer-Address", Single: true, Port: true}, peers: cloudfrontOriginFacing},
	// Always replaces the client's value.
	{name: "cloudflare", rule: Rule{Header: "CF-Connecting-IP", Single: true}, peers: cloudflareRanges},
	// Sets it only if the client did not. A line of VCL makes it safe (docs/client-address.md).
	{name: "fastly", rule: Rule{Header: "Fastly-Client-IP", Single: true}, peers: fastlyRanges},
	// X-Azure-ClientIP and X-Forwarded-For may repeat what a client sent. This header has the address of the socket.
	{name: "azure-front-door", rule: Rule{Header: "X-Azure-SocketIP", Single: true}, peers: azureFrontDoorBackend},
}

const private = `
	10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7
	169.254.0.0/16 fe80::/10
	127.0.0.0/8 ::1/128`

// googleFrontEnds has the addresses of Google Front Ends, for proxied requests and health checks. The IPv6 ones are
// those of the global and the regional external load balancer.
// cloud.google.com/load-balancing/docs/https#firewall_rules, 2025.
const googleFrontEnds = `
	35.191.0.0/16 130.211.0.0/22
	2600:2d00:1:b029::/64 2600:2d00:1:1::/64`

// cloudfrontOriginFacing has the prefixes of service CLOUDFRONT_ORIGIN_FACING in
// ip-ranges.amazonaws.com/ip-ranges.json, createDate 2026-07-29-08-27-05.
const cloudfrontOriginFacing = `
	3.29.57.0/26 3.172.0.0/18 3.172.64.0/18 13.124.199.0/24 15.158.0.0/16 18.68.0.0/16
	52.46.0.0/18 52.82.128.0/23 52.82.134.0/23
	54.182.128.0/20 54.182.144.0/21 54.182.154.0/23 54.182.156.0/22 54.182.160.0/21
	54.182.172.0/22 54.182.176.0/21 54.182.184.0/22 54.182.188.0/23 54.182.224.0/21
	54.182.240.0/21 54.182.248.0/22 54.239.134.0/23 54.239.170.0/23 54.239.204.0/22
	54.239.208.0/21 64.252.64.0/18 64.252.128.0/18 70.132.0.0/18
	130.176.0.0/18 130.176.64.0/21 130.176.72.0/22 130.176.76.0/24 130.176.78.0/23
	130.176.80.0/22 130.176.86.0/23 130.176.88.0/21 130.176.96.0/19 130.176.128.0/21
	130.176.136.0/23 130.176.140.0/22 130.176.144.0/20 130.176.160.0/19 130.176.192.0/19
	204.246.166.0/24 205.251.218.0/24
	2600:9000:1000::/36 2600:9000:5200::/40 2600:9000:6000::/36`

// cloudflareRanges has the prefixes of www.cloudflare.com/ips, as of 2026-02-11; unchanged since 2023.
const cloudflareRanges = `
	103.21.244.0/22 103.22.200.0/22 103.31.4.0/22 104.16.0.0/13 104.24.0.0/14
	108.162.192.0/18 131.0.72.0/22 141.101.64.0/18 162.158.0.0/15 172.64.0.0/13
	173.245.48.0/20 188.114.96.0/20 190.93.240.0/20 197.234.240.0/22 198.41.128.0/17
	2400:cb00::/32 2405:8100::/32 2405:b500::/32 2606:4700::/32 2803:f800::/32
	2a06:98c0::/29 2c0f:f248::/32`

// fastlyRanges has the prefixes of api.fastly.com/public-ip-list, January 2026.
const fastlyRanges = `
	23.235.32.0/20 43.249.72.0/22 103.244.50.0/24 103.245.222.0/23 103.245.224.0/24
	104.156.80.0/20 140.248.64.0/18 140.248.128.0/17 146.75.0.0/17 151.101.0.0/16
	157.52.64.0/18 167.82.0.0/17 167.82.128.0/20 167.82.160.0/20 167.82.224.0/20
	172.111.64.0/18 185.31.16.0/22 199.27.72.0/21 199.232.0.0/16
	2a04:4e40::/32 2a04:4e42::/32`

// azureFrontDoorBackend has the two wide prefixes of service tag AzureFrontDoor.Backend, and Azure's own health probe.
// The tag has a hundred more prefixes that change often. An origin that is reached over public addresses must list the
// current prefixes of the tag.
const azureFrontDoorBackend = `
	147.243.0.0/16 2a01:111:2050::/44
	168.63.129.16/32`
