package demo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// upstreamPrefix stands for the project and repository that upstreams put
// before every image name. Clients never see it.
const upstreamPrefix = "sample-project/images"

// world is the two upstreams and five stores, each on its own port.
type world struct {
	image *image
	nodes []*node // upstreams first
}

// node is one upstream or store.
type node struct {
	name      string
	place     string // where its bytes come from; "" for the CDN
	upstream  bool
	canonical bool
	serves    string // the clients that a store serves, as written in the config
	url       string // http://127.0.0.1:port
	handler   keeps
	ledger    *ledger
	listener  *outlet
}

// The names of the nodes in the config and the scenario.
const (
	nodeUS        = "us"
	nodeEU        = "eu"
	nodeVirginia  = "aws-us-east-1"
	nodeFrankfurt = "aws-eu-central-1"
	nodeSingapore = "aws-ap-southeast-1"
	nodeAzure     = "azure-westeurope"
	nodeCDN       = "cdn"
)

// Stores returns the names of the stores.
func Stores() []string {
	return []string{nodeVirginia, nodeFrankfurt, nodeSingapore, nodeAzure, nodeCDN}
}

// The blobs that are missing on purpose: the layer that the store in Singapore
// never got, and the layer that the European replica does not have yet.
const (
	missingInSingapore = "data"
	missingInEU        = "runtime"
)

// newWorld builds the nodes and opens their ports on loopback. If notify is not
// nil, it is called for every request that a node has answered, from many
// goroutines.
func newWorld(ctx context.Context, notify func(entry)) (*world, error) {
	img, err := newImage()
	if err != nil {
		return nil, err
	}
	w := &world{image: img, nodes: []*node{
		{name: nodeUS, place: "gcp/us-central1", upstream: true, canonical: true, handler: img.registry().serve},
		{name: nodeEU, place: "gcp/europe-west1", upstream: true, handler: img.replica().serve},
		{name: nodeVirginia, place: "aws/us-east-1", serves: "aws", handler: img.store(nodeVirginia, http.StatusForbidden).serve},
		{name: nodeFrankfurt, place: "aws/eu-central-1", serves: "aws", handler: img.store(nodeFrankfurt, http.StatusForbidden).serve},
		{name: nodeSingapore, place: "aws/ap-southeast-1", serves: "aws",
			handler: img.store(nodeSingapore, http.StatusForbidden, missingInSingapore).serve},
		{name: nodeAzure, place: "azure/westeurope", serves: "azure", handler: img.store(nodeAzure, http.StatusNotFound).serve},
		{name: nodeCDN, serves: "internet", handler: img.store(nodeCDN, http.StatusForbidden).serve},
	}}
	for _, n := range w.nodes {
		ln, err := listenLoopback(ctx)
		if err != nil {
			w.close()
			return nil, fmt.Errorf("start %s: %w", n.name, err)
		}
		n.listener = newOutlet(ln)
		n.url = "http://" + n.listener.Addr().String()
		n.ledger = newLedger(n.name, notify)
	}
	return w, nil
}

// registry returns the upstream that has everything.
func (img *image) registry() *registry {
	g := &registry{
		name:      upstreamPrefix + "/" + imageName,
		tags:      make(map[string]string),
		manifests: img.manifests,
		blobs:     img.blobs,
	}
	for _, tag := range imageTags {
		g.tags[tag] = img.index
	}
	return g
}

// replica returns an upstream whose replication is not finished: one layer and
// all of arm64 are missing.
func (img *image) replica() *registry {
	g := img.registry()
	g.blobs = img.without(missingInEU)
	g.manifests = maps.Clone(img.manifests)
	arm := img.platforms["linux/arm64"]
	delete(g.manifests, arm.manifest)
	amd := slices.Collect(maps.Values(img.platforms["linux/amd64"].blobs))
	for _, digest := range arm.blobs {
		if !slices.Contains(amd, digest) {
			delete(g.blobs, digest)
		}
	}
	return g
}

// store returns a bucket without the named blobs. Its inventory does not list
// them.
func (img *image) store(name string, absent int, missing ...string) *store {
	blobs := img.without(missing...)
	return &store{blobs: blobs, inventory: publish(name, blobs), absent: absent}
}

// without returns the blobs without the named ones of every platform.
func (img *image) without(names ...string) map[string]content {
	blobs := maps.Clone(img.blobs)
	for _, v := range img.platforms {
		for _, name := range names {
			delete(blobs, v.blobs[name])
		}
	}
	return blobs
}

// serve answers requests on all ports until ctx is done.
func (w *world) serve(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, n := range w.nodes {
		g.Go(func() error { return serveHTTP(ctx, n.listener, n.ledger.wrap(n.handler)) })
	}
	return g.Wait()
}

// close frees the ports of a world that never served.
func (w *world) close() {
	for _, n := range w.nodes {
		if n.listener != nil {
			_ = n.listener.Close() // only a port, so an error does not matter
		}
	}
}

// at returns the node that answers on host, "127.0.0.1:port".
func (w *world) at(host string) (*node, bool) {
	i := slices.IndexFunc(w.nodes, func(n *node) bool { return n.listener.Addr().String() == host })
	if i < 0 {
		return nil, false
	}
	return w.nodes[i], true
}

func (w *world) node(name string) *node {
	i := slices.IndexFunc(w.nodes, func(n *node) bool { return n.name == name })
	return w.nodes[i] // always found: names are the constants above
}

// listenLoopback opens a free port on loopback.
func listenLoopback(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp4", "127.0.0.1:0")
}

// stopTimeout is how long a request under way may continue after the demo was
// stopped.
const stopTimeout = 2 * time.Second

// serveHTTP serves until ctx is done. It returns when all connections are closed.
func serveHTTP(ctx context.Context, ln net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
	}
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if srv.Shutdown(ctx) != nil {
			_ = srv.Close() // clients resume elsewhere
		}
	})
	err := srv.Serve(ln)
	if !stop() {
		<-closed
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", ln.Addr(), err)
	}
	return nil
}
