package endpoints

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Where a registry publishes its list, the changes that are announced in it, and a list that was signed elsewhere.
const (
	Path       = "/.well-known/oci-proxy/endpoints.json"
	AtomPath   = "/.well-known/oci-proxy/endpoints.atom"
	SignedPath = "/.well-known/oci-proxy/endpoints.dsse.json"
)

// Format is the newest format of a list that this release reads and writes. Fields are only added within a format.
const Format = 1

// MaxBytes and MaxEndpoints are the bounds of a list: 256 candidates with 16 hosts each, and the registry's names.
const (
	MaxBytes     = 4 << 20
	MaxEndpoints = 10_000
)

// Kind says why clients need a host.
type Kind string

// The kinds of hosts. A newer server may publish others.
const (
	Registry Kind = "registry" // a name of the registry itself
	Store    Kind = "store"    // a bucket or CDN with blobs
	Upstream Kind = "upstream" // a registry that clients are redirected to
	Redirect Kind = "redirect" // a host that a store or upstream redirects to
	Wildcard Kind = "wildcard" // a pattern of hosts that may come into use without notice
)

// List is the published document.
type List struct {
	Format int `json:"format"`
	// Version changes when the content does. All servers with the same config publish the same one.
	Version string `json:"version"`
	// NoticeSeconds is how long in advance the operator announces a host; 0: no promise.
	NoticeSeconds int64 `json:"noticeSeconds,omitempty"`
	// Endpoints are in the order of kinds and names.
	Endpoints []Endpoint `json:"endpoints"`
}

// Endpoint is a host that a client may be sent to. Several may have the same host, such as buckets of one cloud.
type Endpoint struct {
	// Host is a DNS name or an IP address. The first label of a wildcard or redirect may be a star, which stands for
	// one label.
	Host string `json:"host"`
	Port uint16 `json:"port"`
	Kind Kind   `json:"kind"`
	// Insecure: plain HTTP, in tests and closed networks.
	Insecure bool `json:"insecure,omitempty"`
	// Families are `ipv4` and `ipv6`, as far as the operator uses them; empty when this is not known.
	Families []string `json:"families,omitempty"`
	// Provider is the cloud or CDN that sends the bytes, and Region its region; "" when they are not known.
	Provider string `json:"provider,omitempty"`
	Region   string `json:"region,omitempty"`
	// Bucket is the ARN of an S3 bucket that clients read directly, and Objects the beginning of its objects' names.
	Bucket  string `json:"bucket,omitempty"`
	Objects string `json:"objects,omitempty"`
	// Since is when the first client is sent here, and Until when the last one is; zero when this is not announced.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
}

// Address is the host, with the port unless it is 443.
func (e *Endpoint) Address() string {
	if e.Port == 443 {
		return e.Host
	}
	if strings.Contains(e.Host, ":") {
		return fmt.Sprintf("[%s]:%d", e.Host, e.Port)
	}
	return fmt.Sprintf("%s:%d", e.Host, e.Port)
}

// Notice is how long in advance the operator announces a host; 0: no promise.
func (l *List) Notice() time.Duration { return time.Duration(l.NoticeSeconds) * time.Second }

// New makes a list. It merges endpoints for the same purpose: the merged one has the longest time of all.
func New(all []Endpoint, notice time.Duration) *List {
	l := &List{Format: Format, NoticeSeconds: int64(notice / time.Second), Endpoints: []Endpoint{}}
	all = slices.Clone(all)
	slices.SortStableFunc(all, compare)
	for _, e := range all {
		if n := len(l.Endpoints); n > 0 && compare(l.Endpoints[n-1], e) == 0 {
			l.Endpoints[n-1].merge(e)
			continue
		}
		e.Families = slices.Clone(e.Families)
		l.Endpoints = append(l.Endpoints, e)
	}
	sum := sha256.Sum256(l.Text())
	l.Version = hex.EncodeToString(sum[:])
	return l
}

// order is the order of kinds in a list: what a client asks first comes first. Kinds of newer servers come last.
var order = []Kind{Registry, Upstream, Store, Redirect, Wildcard}

// compare orders endpoints by purpose. It returns 0 for two that are about the same host and bucket.
func compare(a, b Endpoint) int {
	rank := func(k Kind) int {
		if i := slices.Index(order, k); i >= 0 {
			return i
		}
		return len(order)
	}
	return cmp.Or(cmp.Compare(rank(a.Kind), rank(b.Kind)), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Host, b.Host),
		cmp.Compare(a.Port, b.Port), cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(a.Objects, b.Objects))
}

// merge adds what another candidate at the same host says.
func (e *Endpoint) merge(o Endpoint) {
	e.Insecure = e.Insecure || o.Insecure
	if len(e.Families) == 0 || len(o.Families) == 0 {
		e.Families = nil
	} else {
		e.Families = append(e.Families, o.Families...)
		slices.Sort(e.Families)
		e.Families = slices.Compact(e.Families)
	}
	if e.Provider != o.Provider || e.Region != o.Region {
		e.Region = ""
	}
	if e.Provider != o.Provider {
		e.Provider = ""
	}
	if o.Since.Before(e.Since) {
		e.Since = o.Since
	}
	if e.Until.IsZero() || o.Until.IsZero() {
		e.Until = time.Time{}
	} else if o.Until.After(e.Until) {
		e.Until = o.Until
	}
}

// Text is the list as JSON, the same bytes for the same content.
func (l *List) Text() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(l); err != nil {
		panic("endpoints: " + err.Error()) // texts, numbers and years up to 9999 always marshal
	}
	return b.Bytes()
}

// Covers reports whether pattern is host, or a wildcard for it: its star stands for one label.
func Covers(pattern, host string) bool {
	if pattern == host {
		return true
	}
	domain, ok := strings.CutPrefix(pattern, "*")
	label, found := strings.CutSuffix(host, domain)
	return ok && found && label != "" && !strings.Contains(label, ".")
}

// Find returns the endpoints that allow a client to be sent to a host and port, in the order of the list.
func (l *List) Find(host string, port uint16) []Endpoint {
	var out []Endpoint
	for _, e := range l.Endpoints {
		if e.Port == port && Covers(e.Host, strings.ToLower(host)) {
			out = append(out, e)
		}
	}
	return out
}
