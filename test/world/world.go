// Package world is a small copy of production on loopback: two upstreams (one is incomplete), stores in three places of
// two clouds, oci-proxy, and a hop in front of it for the clients of each place.
//
// It records which server sent how many bytes of which blob. It does not know which server should have: the tests say
// what is right.
package world

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"ociproxy/test/hop"
	"ociproxy/test/image"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
	"ociproxy/test/s3"
)

// Places that clients pull from.
const (
	Virginia   = "virginia"    // aws/us-east-1: has a store
	VirginiaV6 = "virginia-v6" // the same place by IPv6
	Frankfurt  = "frankfurt"   // aws/eu-central-1: has a store that serves the internet too
	Ireland    = "ireland"     // aws/eu-west-1: no store
	Amsterdam  = "amsterdam"   // azure/westeurope: has a store
	Belgium    = "belgium"     // gcp/europe-west1: has an upstream
	Home       = "home"        // no cloud
)

// The ranges are from the prefixes for benchmarks (RFC 2544) and for documentation (RFC 3849). They are wide enough for
// many client networks (/24 and /48) in each place.
var clients = []struct {
	name   string
	prefix netip.Prefix
	place  string
}{
	{Virginia, netip.MustParsePrefix("198.18.0.0/18"), "aws/us-east-1"},
	{VirginiaV6, netip.MustParsePrefix("2001:db8:100::/40"), "aws/us-east-1"},
	{Frankfurt, netip.MustParsePrefix("198.18.64.0/18"), "aws/eu-central-1"},
	{Ireland, netip.MustParsePrefix("198.18.128.0/18"), "aws/eu-west-1"},
	{Amsterdam, netip.MustParsePrefix("198.18.192.0/18"), "azure/westeurope"},
	{Belgium, netip.MustParsePrefix("198.19.0.0/18"), "gcp/europe-west1"},
	{Home, netip.MustParsePrefix("198.19.64.0/18"), ""},
}

// Places lists all places.
func Places() []string {
	names := make([]string, len(clients))
	for i, c := range clients {
		names[i] = c.name
	}
	return names
}

// Names of the sources in the config.
const (
	Canonical = "up-us"
	Replica   = "up-eu"
	StoreUS   = "s3-use1"
	StoreEU   = "s3-euc1"
	StoreAz   = "az-we"
)

// Prefix is the prefix of repository names at the upstreams.
const Prefix = "project/images"

// World is a running world.
type World struct {
	Canonical, Replica *registry.Registry
	Stores             map[string]*s3.Store // by name
	Config             proxy.Config
	Proxy              *proxy.Proxy
	hops               map[string]*hop.Hop
}

// Start starts a world without content. more adds keys to the config.
func Start(t testing.TB, more proxy.Map) *World {
	t.Helper()
	w := &World{Canonical: registry.Start(t), Replica: registry.Start(t), hops: map[string]*hop.Hop{}}
	w.Stores = map[string]*s3.Store{
		StoreUS: s3.Start(t, "us-east-1"), StoreEU: s3.Start(t, "eu-central-1"), StoreAz: s3.Start(t, "westeurope"),
	}
	w.Config = w.config().With(more).Defaults(t)
	w.Proxy = proxy.Start(t, w.Config)
	for _, c := range clients {
		w.hops[c.name] = hop.Start(t, w.Proxy.Addr, c.prefix.Addr().Next())
	}
	return w
}

func (w *World) config() proxy.Config {
	overrides := proxy.List{}
	for _, c := range clients {
		if c.place != "" {
			overrides = append(overrides, proxy.Map{"cidr": c.prefix.String(), "place": c.place})
		}
	}
	store := func(name, place string, serves ...string) proxy.Map {
		return proxy.Map{"name": name, "place": place, "url": w.Stores[name].URL, "serves": serves, "insecure": true}
	}
	return proxy.Config{
		"location": "gcp/europe-west1",
		"client":   proxy.Map{"behind": proxy.Map{"header": "X-Forwarded-For", "entry": 1, "trusted": proxy.List{"127.0.0.0/8"}}, "whoami": true},
		"ranges":   proxy.Map{"overrides": overrides},
		"upstreams": proxy.List{
			proxy.Map{"name": Canonical, "url": w.Canonical.URL, "prefix": Prefix, "place": "gcp/us-central1", "canonical": true, "insecure": true},
			proxy.Map{"name": Replica, "url": w.Replica.URL, "prefix": Prefix, "place": "gcp/europe-west1", "insecure": true},
		},
		"stores": proxy.List{
			store(StoreUS, "aws/us-east-1", "aws"),
			store(StoreEU, "aws/eu-central-1", "aws", "internet"),
			store(StoreAz, "azure/westeurope", "azure"),
		},
		// A long timeout: the machine that runs the tests is busy, and a check that times out sends a client elsewhere.
		"limits": proxy.Map{"checkTimeout": "5s"},
		"log":    proxy.Map{"requests": 1, "client": "full"},
	}
}

// At returns the address (host:port) where a client of the place reaches the registry.
func (w *World) At(place string) string { return w.Hop(place).Addr }

// Hop returns the hop for the clients of a place.
func (w *World) Hop(place string) *hop.Hop {
	h := w.hops[place]
	if h == nil {
		panic("world: no clients in " + place)
	}
	return h
}

// NewClient moves the clients of a place to a network that no client has used before. If a client asks again for the
// same blob, the proxy assumes that its download failed. NewClient also discards what the hop recorded until now.
func (w *World) NewClient(place string) {
	h := w.Hop(place)
	addr := h.Client().As16()
	network := addr[:6] // a /48
	if h.Client().Is4() {
		network = addr[:15] // a /24
	}
	for i := len(network) - 1; i >= 0; i-- {
		network[i]++
		if network[i] != 0 {
			break
		}
	}
	h.SetClient(netip.AddrFrom16(addr).Unmap())
	h.Take()
}

// Push writes an image into the named upstreams as repository:tag.
func (w *World) Push(t testing.TB, img *image.Image, repository, tag string, upstreams ...string) {
	t.Helper()
	for _, name := range upstreams {
		img.Push(t, w.upstream(name).Addr, Prefix+"/"+repository, tag)
	}
}

// Fill puts blobs into the named stores.
func (w *World) Fill(t testing.TB, blobs []image.Blob, stores ...string) {
	t.Helper()
	for _, blob := range blobs {
		data := blob.Read(t)
		for _, name := range stores {
			w.Stores[name].Put(t, blob.Digest, data)
		}
	}
}

func (w *World) upstream(name string) *registry.Registry {
	switch name {
	case Canonical:
		return w.Canonical
	case Replica:
		return w.Replica
	}
	panic("world: no upstream " + name)
}

// Source returns the name of the store or upstream that a location points to.
func (w *World) Source(location string) (string, error) {
	u, err := url.Parse(location)
	if err != nil {
		return "", err
	}
	for name, store := range w.Stores {
		if u.Host == store.Addr {
			return name, nil
		}
	}
	for _, name := range []string{Canonical, Replica} {
		if u.Host == w.upstream(name).Addr {
			return name, nil
		}
	}
	return "", fmt.Errorf("location %q is of no source", location)
}

// Books says how many bytes of which blob each source sent: books[source][digest].
type Books map[string]map[string]int64

// Add adds bytes to what source sent of a blob.
func (b Books) Add(source, digest string, bytes int64) {
	if b[source] == nil {
		b[source] = map[string]int64{}
	}
	b[source][digest] += bytes
}

// Marks is a moment in all access logs.
type Marks map[string]int

// Mark returns the current moment.
func (w *World) Mark() Marks {
	marks := Marks{}
	for name, store := range w.Stores {
		marks[name] = store.Mark()
	}
	for _, name := range []string{Canonical, Replica} {
		marks[name] = w.upstream(name).Mark()
	}
	return marks
}

// Sent reads from the access logs what each source has sent to clients since the moment. It does not count what the
// proxy's own probes fetch.
func (w *World) Sent(since Marks) Books {
	books := Books{}
	for name, store := range w.Stores {
		for _, a := range store.Since(since[name]) {
			if a.Operation == "GetObject" && a.Status < 300 && !probe(a.Agent) {
				books.Add(name, a.Digest, a.Bytes)
			}
		}
	}
	for _, name := range []string{Canonical, Replica} {
		for _, a := range w.upstream(name).Since(since[name]) {
			path, _, _ := strings.Cut(a.Path, "?")
			if _, digest, ok := strings.Cut(path, "/blobs/"); ok && a.Method == "GET" && a.Status < 300 && !probe(a.Agent) {
				books.Add(name, digest, a.Bytes)
			}
		}
	}
	return books
}

func probe(agent string) bool { return strings.HasPrefix(agent, "oci-proxy") }

// Logged reads the proxy's decisions from its request log, from the mark on: the source of each blob, by digest.
func (w *World) Logged(mark int) map[string]string {
	logged := map[string]string{}
	for _, line := range w.Proxy.Log(mark) {
		if line["msg"] == "request" && line["kind"] == "blob" && line["method"] == "GET" {
			logged[fmt.Sprint(line["reference"])] = fmt.Sprint(line["candidate"])
		}
	}
	return logged
}

// Decided reads the proxy's decisions from a place's hop, since the last call: the source of each blob, by digest. A
// blob that was sent to two sources is an error.
func (w *World) Decided(place string) (map[string]string, error) {
	decided := map[string]string{}
	for _, e := range w.Hop(place).Take() {
		path, _, _ := strings.Cut(e.Path, "?")
		_, digest, ok := strings.Cut(path, "/blobs/")
		if !ok || e.Method != "GET" {
			continue
		}
		if e.Status != 307 {
			return nil, fmt.Errorf("%s %s: %d", e.Method, e.Path, e.Status)
		}
		source, err := w.Source(e.Location)
		if err != nil {
			return nil, err
		}
		if before, ok := decided[digest]; ok && before != source {
			return nil, fmt.Errorf("%s was sent to %s, then to %s", digest, before, source)
		}
		decided[digest] = source
	}
	return decided, nil
}
