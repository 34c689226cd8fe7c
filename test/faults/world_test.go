package faults

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/rs/zerolog"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/write"
	"ociproxy/internal/oci"
	"ociproxy/test/image"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
	"ociproxy/test/s3"
)

// Names of the sources. storeUS serves clients in aws/us-east-1. storeEU serves other clients on AWS and those of no
// cloud. storeAz serves clients on Azure. What no store has comes from the nearest upstream that has it.
const (
	canonical = "up-us"
	replica   = "up-eu"
	storeUS   = "s3-use1"
	storeEU   = "s3-euc1"
	storeAz   = "az-we"
)

var stores = []string{storeUS, storeEU, storeAz}

// grounds are the servers that all worlds share. No fault changes them: faults happen at the gates, and in the buckets
// and repositories of one world.
type grounds struct {
	upstreams map[string]*registry.Registry
	stores    map[string]*s3.Store
	toxics    *toxiproxy.ApiServer
	count     atomic.Int32
}

func newGrounds(t *testing.T) *grounds {
	t.Helper()
	g := &grounds{upstreams: map[string]*registry.Registry{}, stores: map[string]*s3.Store{}}
	for _, name := range []string{canonical, replica} {
		g.upstreams[name] = registry.Start(t)
	}
	for name, region := range map[string]string{storeUS: "us-east-1", storeEU: "eu-central-1", storeAz: "westeurope"} {
		g.stores[name] = s3.Start(t, region)
	}
	g.toxics = toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	return g
}

// place is where clients pull from. Every pull comes from a network of its own, so that no pull looks like the retry of
// another.
type place struct {
	name string
	net  netip.Prefix
	at   string // as in the config; "": the proxy does not know it
}

var (
	virginia  = place{"virginia", netip.MustParsePrefix("10.0.0.0/10"), "aws/us-east-1"}
	amsterdam = place{"amsterdam", netip.MustParsePrefix("10.64.0.0/10"), "azure/westeurope"}
	home      = place{"home", netip.MustParsePrefix("11.0.0.0/10"), ""}
	places    = []place{virginia, amsterdam, home}
)

// machine returns the n-th machine of the place, in its own /24.
func (p place) machine(n int) netip.Addr {
	a := p.net.Addr().As4()
	n %= 1 << 14
	return netip.AddrFrom4([4]byte{a[0], a[1] + byte(n>>8), byte(n), 10})
}

// options are what a fault needs of its world before it strikes.
type options struct {
	configure func(t *testing.T, w *world, c proxy.Config)            // changes the config
	prepare   func(t *testing.T, w *world)                            // before the proxy starts
	start     func(t *testing.T, w *world)                            // instead of starting the proxy
	command   func(t *testing.T, w *world, binary string) []string    // the command that starts the proxy
	feed      bool                                                    // a feed locates clients
	sizes     []int64                                                 // of the app's layers
	secure    *certificates                                           // the gate of storeUS speaks TLS
	env       func(t *testing.T, w *world) []string                   // environment of the proxy
	host      map[string]string                                       // by name, instead of 127.0.0.1
	dial      func(context.Context, string, string) (net.Conn, error) // of the clients
}

// world is everything that one fault needs.
type world struct {
	*grounds
	id      string
	opt     options
	gates   map[string]*gate
	buckets map[string]*bucket
	writers map[string]*write.Writer
	images  map[string]*image.Image // by repository
	seed    byte

	config proxy.Config
	file   string
	cache  string // directory of the last good copies
	feed   *feedServer
	proxy  *proxy.Proxy
	front  string // host:port that clients use: the proxy's, unless a fault changes it
}

// Repositories of each world. The stores have the blobs of app. Only the upstreams have those of rare.
func (w *world) app() string  { return w.id + "/app" }
func (w *world) rare() string { return w.id + "/rare" }

const upstreamPrefix = "project/images"

func newWorld(t *testing.T, g *grounds, opt options) *world {
	t.Helper()
	n := g.count.Add(1)
	w := &world{grounds: g, id: fmt.Sprintf("w%02d", n), opt: opt, seed: byte(4 * n), gates: map[string]*gate{},
		buckets: map[string]*bucket{}, writers: map[string]*write.Writer{}, images: map[string]*image.Image{}}
	w.cache = filepath.Join(t.TempDir(), "cache")
	for name, up := range g.upstreams {
		w.gates[name] = newGate(t, g.toxics, w.id+name, up.Addr, nil)
	}
	for name, store := range g.stores {
		var secure *tls.Config
		if name == storeUS && opt.secure != nil {
			secure = opt.secure.server()
		}
		w.gates[name] = newGate(t, g.toxics, w.id+name, store.Backend(), secure)
		w.buckets[name] = newBucket(t, store, w.id)
		w.writers[name] = write.New(w.buckets[name], write.Options{Store: name, TempDir: t.TempDir()})
	}
	sizes := opt.sizes
	if sizes == nil {
		sizes = []int64{6 << 10, 30 << 10, 90 << 10} // health reads two of them completely, and parts of the third
	}
	w.push(t, w.app(), sizes, canonical, replica)
	w.push(t, w.rare(), []int64{5 << 10, 20 << 10}, canonical, replica)
	w.fill(t, w.app(), stores...)

	if opt.feed {
		w.feed = newFeedServer(t)
	}
	w.config = w.configuration().Defaults(t)
	if opt.configure != nil {
		opt.configure(t, w, w.config)
	}
	w.file = filepath.Join(t.TempDir(), "oci-proxy.yaml")
	w.config.Write(t, w.file)
	w.front = w.config["listen"].(string)
	if opt.prepare != nil {
		opt.prepare(t, w)
	}
	if opt.start != nil {
		opt.start(t, w)
	} else {
		w.start(t)
	}
	return w
}

// push makes an image and writes it into upstreams.
func (w *world) push(t *testing.T, repository string, sizes []int64, upstreams ...string) {
	t.Helper()
	w.seed++
	img := image.New(t, w.seed, sizes...)
	w.images[repository] = img
	for _, name := range upstreams {
		img.Push(t, w.upstreams[name].Addr, upstreamPrefix+"/"+repository, "v1")
	}
}

// fill puts an image's blobs into stores and their inventories, as a mirror does.
func (w *world) fill(t *testing.T, repository string, names ...string) {
	t.Helper()
	records := []inventory.Record{}
	seen := map[string]bool{}
	for _, arch := range w.images[repository].Arch {
		for _, blob := range arch.Blobs {
			if seen[blob.Digest] {
				continue
			}
			seen[blob.Digest] = true
			d, err := oci.ParseDigest(blob.Digest)
			if err != nil {
				t.Fatal(err)
			}
			records = append(records, inventory.Record{Digest: d, Size: blob.Size, Kind: inventory.Blob})
			for _, name := range names {
				w.buckets[name].fill(t, blob.Digest, blob.Read(t))
			}
		}
	}
	for _, name := range names {
		if _, err := w.writers[name].Apply(t.Context(), records...); err != nil {
			t.Fatal(err)
		}
	}
}

func (b *bucket) fill(t *testing.T, digest string, data []byte) {
	t.Helper()
	_, err := b.client.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &b.name, Key: aws.String(blobPrefix + digest),
		Body: bytes.NewReader(data), ContentType: aws.String("application/octet-stream")})
	if err != nil {
		t.Fatal(err)
	}
}

// url returns the base URL of a store or upstream for clients and the proxy.
func (w *world) url(name string) string {
	host, port, _ := strings.Cut(w.gates[name].addr, ":")
	if h, ok := w.opt.host[name]; ok {
		host = h
	}
	scheme := "http://"
	if name == storeUS && w.opt.secure != nil {
		scheme = "https://"
	}
	return scheme + host + ":" + port
}

func (w *world) configuration() proxy.Config {
	overrides := proxy.List{}
	for _, p := range places {
		if p.at != "" {
			overrides = append(overrides, proxy.Map{"cidr": p.net.String(), "place": p.at})
		}
	}
	store := func(name, place string, serves ...string) proxy.Map {
		return proxy.Map{"name": name, "place": place, "serves": serves, "insecure": true,
			"url":       w.url(name) + "/" + w.id + "/" + blobPrefix + "{digest}",
			"inventory": proxy.Map{"url": w.url(name) + "/" + w.id + "/" + inventoryPrefix, "refresh": "1s"},
		}
	}
	ranges := proxy.Map{"overrides": overrides, "cache": w.cache}
	if w.feed != nil {
		ranges = proxy.Map{"feeds": proxy.List{proxy.Map{"provider": "csv", "url": w.feed.url, "insecure": true}}, "cache": w.cache, "refresh": "1s"}
	}
	return proxy.Config{
		"location": "gcp/europe-west1",
		"client":   proxy.Map{"behind": proxy.Map{"header": "X-Forwarded-For", "entry": 1, "trusted": proxy.List{"127.0.0.0/8"}}},
		"ranges":   ranges,
		"upstreams": proxy.List{
			proxy.Map{"name": canonical, "url": w.url(canonical), "prefix": upstreamPrefix, "place": "gcp/us-central1", "canonical": true, "insecure": true},
			proxy.Map{"name": replica, "url": w.url(replica), "prefix": upstreamPrefix, "place": "gcp/europe-west1", "insecure": true},
		},
		"stores": proxy.List{
			store(storeUS, "aws/us-east-1", "aws"),
			store(storeEU, "aws/eu-central-1", "aws", "internet"),
			store(storeAz, "azure/westeurope", "azure"),
		},
		"health": proxy.Map{"interval": "1s", "idleInterval": "2s", "timeout": "2s"},
		"limits": proxy.Map{"drain": "3s"},
		"log":    proxy.Map{"requests": 1, "client": "full"},
	}
}

// start starts the proxy with the world's config file.
func (w *world) start(t *testing.T) {
	t.Helper()
	var env []string
	if w.opt.env != nil {
		env = w.opt.env(t, w)
	}
	if w.opt.command == nil {
		w.proxy = proxy.StartFile(t, w.file, w.config, env...)
		return
	}
	command := w.opt.command(t, w, proxy.Binary(t))
	w.proxy = &proxy.Proxy{Addr: w.config["listen"].(string), Admin: w.config["admin"].(string), File: w.file}
	w.proxy.Process = parts.Start(t, parts.Spec{Path: command[0], Args: command[1:], Env: env, Abrupt: true,
		Ready: parts.HTTP("http://"+w.proxy.Addr+"/-/ready", 200)})
}

// trust returns what clients trust in addition to the system's certificates; nil: nothing.
func (w *world) trust() *tls.Config {
	if w.opt.secure == nil {
		return nil
	}
	return w.opt.secure.client()
}
