package doctor

import (
	"fmt"
	"net/netip"
	"time"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/endpoints"
)

// Fault is why something that a client does with a host fails.
type Fault string

// The faults of a way to a host, in the order in which a client meets them.
const (
	noFault      Fault = ""
	badSetting   Fault = "proxy-setting" // the environment's proxy cannot be read
	proxyDead    Fault = "proxy-dead"
	proxyLogin   Fault = "proxy-login"
	proxyRefuses Fault = "proxy-refuses"
	proxyFails   Fault = "proxy-fails" // it does not reach the host
	noResolver   Fault = "dns-dead"
	dnsFails     Fault = "dns-fails" // the resolver answers with an error
	noRecord     Fault = "no-record" // of this family: not a fault by itself
	noRoute      Fault = "no-route"  // this machine has no network of this family: not a fault by itself
	silent       Fault = "no-answer"
	refused      Fault = "refused"
	rejected     Fault = "rejected" // a router or firewall says that the host cannot be reached
	stalled      Fault = "stalled"  // connected, then nothing
	cutOff       Fault = "cut-off"  // connected, then the connection ends
	notTLS       Fault = "not-tls"
	plainHTTP    Fault = "plain-http" // a registry that has no TLS
	badTime      Fault = "certificate-time"
	wrongName    Fault = "certificate-name"
	untrusted    Fault = "certificate-authority"
	unknown      Fault = "unknown"
	late         Fault = "late" // the doctor's own time is over
)

// Faults of answers.
const (
	webPage    Fault = "web-page"
	wantsLogin Fault = "login"
	limited    Fault = "rate-limit"
	broken     Fault = "server-error"
	noImage    Fault = "no-image"
	denied     Fault = "denied"
	missing    Fault = "missing"
	changed    Fault = "changed"
	badRange   Fault = "ranges"
	badAnswer  Fault = "answer"
)

// ofAnswers are the faults of answers that came.
var ofAnswers = []Fault{webPage, wantsLogin, limited, broken, noImage, denied, missing, changed, badRange, badAnswer}

// Try is one thing that was tried: a row of the table.
type Try struct {
	Host   string       `json:"host"`
	What   string       `json:"what"` // ipv4, ipv6, proxy, list, api, manifest, layer, range, redirect
	Result judge.Result `json:"result"`
	Fault  Fault        `json:"fault,omitempty"`
	Detail string       `json:"detail"`

	Addresses []netip.Addr `json:"addresses,omitempty"`
	Issuer    string       `json:"issuer,omitempty"` // of the certificate
	// Public: the certificate is in a log of Certificate Transparency, as those of public authorities are.
	Public  bool          `json:"public,omitempty"`
	Expires time.Time     `json:"expires,omitzero"`
	Skew    time.Duration `json:"-"` // how far the host's clock is ahead of this machine's
	Dated   bool          `json:"-"` // Skew is known
	Status  int           `json:"status,omitempty"`
	Took    time.Duration `json:"-"`

	why     string // the connection failed
	proxy   string // the proxy that was used
	ours    bool   // by the host's clock, the certificate is valid
	expired bool   // by this machine's clock; otherwise the certificate is not valid yet
	names   string // of the certificate
	url     string // without its query
	body    []byte // the beginning of an answer
}

func (t *Try) works() bool { return t != nil && t.Fault == noFault && t.Result != "" }

// Host is what is known of a host.
type Host struct {
	Address string // as people write it: with the port unless that is 443, or 80 for plain HTTP
	Name    string
	Port    string
	Plain   bool
	Kind    string // registry, store, upstream, redirect
	Buckets []endpoints.Endpoint
	Later   time.Time // when the first client is sent there, if that is in the future

	V4, V6 *Try
	Via    *Try // through the environment's proxy, if it is for this host
	// Servers are the answers of each resolver by itself, if there are several.
	Servers []ServerAnswer
}

// ServerAnswer is what one resolver says.
type ServerAnswer struct {
	Server string
	Fault  Fault // noResolver, noRecord, or none
}

// fault returns the fault of the way that clients go, and what shows it.
func (h *Host) fault() (Fault, *Try) {
	if h.Via != nil {
		return h.Via.Fault, h.Via
	}
	for _, t := range []*Try{h.V4, h.V6} {
		if t.works() {
			return noFault, t
		}
	}
	if h.V4 == nil || h.V6 == nil {
		return late, &Try{}
	}
	for _, t := range []*Try{h.V4, h.V6} {
		if t.Fault != noRecord && t.Fault != noRoute {
			return t.Fault, t
		}
	}
	for _, t := range []*Try{h.V4, h.V6} {
		if t.Fault == noRoute {
			return noRoute, t
		}
	}
	return noRecord, h.V4
}

// ways are the tries of a host that a client makes too.
func (h *Host) ways() []*Try {
	if h.Via != nil {
		return []*Try{h.Via}
	}
	var out []*Try
	for _, t := range []*Try{h.V4, h.V6} {
		if t != nil {
			out = append(out, t)
		}
	}
	return out
}

// shown returns the address of a host.
func shown(name, port string, plain bool) string {
	if !plain && port == "443" || plain && port == "80" {
		return name
	}
	if a, err := netip.ParseAddr(name); err == nil && a.Is6() {
		return fmt.Sprintf("[%s]:%s", name, port)
	}
	return name + ":" + port
}

// Facts is everything that was found out.
type Facts struct {
	Target  Target
	Hosts   []*Host // the registry first
	Listed  bool    // there is a list of hosts
	Reads   []*Try  // requests to the registry and what they led to, in order
	Layer   bool    // a layer came, complete and unchanged
	Servers []string
}

func (f *Facts) registry() *Host { return f.Hosts[0] }

func (f *Facts) host(address string) *Host {
	for _, h := range f.Hosts {
		if h.Address == address {
			return h
		}
	}
	return nil
}
