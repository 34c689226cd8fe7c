package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"
)

// settleTimeout bounds the wait for nodes to finish requests whose last byte the
// client has already read.
const settleTimeout = 10 * time.Second

// explanation is the proxy's own explanation of a request.
type explanation struct {
	Place    string   // of the client; "" for unknown
	Location string   // where the proxy would redirect to
	Reason   string   // the reason as in metrics and logs
	PassedBy []string // candidates that ranked better but do not hold it
}

// explainer says what the proxy would do with path for a client at addr.
type explainer func(ctx context.Context, addr netip.Addr, path string) (explanation, error)

// checker pulls the sample image as the clients of the scenario. For every
// piece it compares three sources: where the client's bytes came from, what the
// proxy says about it, and what the registries and stores sent to each client.
// It compares all three with the scenario.
type checker struct {
	world     *world
	proxy     string // http://127.0.0.1:port
	front     string
	explain   explainer
	transport http.RoundTripper
}

// check pulls as every client, one after the other. It puts problems into the
// report and returns no error.
func (c *checker) check(ctx context.Context, clients []client) *report {
	r := &report{Image: imageName + ":" + imageTag, Digest: c.world.image.index, OK: true}
	for _, cl := range clients {
		p := c.pull(ctx, cl)
		r.Clients = append(r.Clients, p)
		r.OK = r.OK && p.OK
	}
	return r
}

// pull pulls as one client: tag, platform manifest, config and layers.
func (c *checker) pull(ctx context.Context, cl client) *pull {
	p := &pull{client: cl, Client: cl.Name, Address: cl.Address, Claims: cl.Claims, Platform: cl.Platform}
	base, forwarded := c.proxy, cl.Address
	if cl.Claims != "" {
		base, forwarded = c.front, cl.Claims
	}
	puller := newPuller(c.transport, base, cl.Name, forwarded)

	var index indexJSON
	var manifest manifestJSON
	// The tag must lead to the image that was pushed. A client cannot know that
	// digest, but the demo does.
	data := c.piece(ctx, puller, p, "index", manifestPath(imageTag), descriptor{Digest: c.world.image.index})
	if decode(p, "index", data, &index) {
		d, ok := find(index, cl.Platform)
		if !ok {
			p.problem("index: no manifest for %s", cl.Platform)
		}
		data = c.piece(ctx, puller, p, "manifest", manifestPath(d.Digest), d)
		if ok && decode(p, "manifest", data, &manifest) {
			c.piece(ctx, puller, p, "config", blobPath(manifest.Config.Digest), manifest.Config)
			for i, layer := range manifest.Layers {
				c.piece(ctx, puller, p, layerSpecs[i].name, blobPath(layer.Digest), layer)
			}
		}
	}
	c.compareLedgers(ctx, p)
	p.OK = len(p.Problems) == 0
	return p
}

// piece fetches one piece and checks everything about it. It returns the bytes,
// or nil when they do not match the digest.
func (c *checker) piece(ctx context.Context, puller *puller, p *pull, name, path string, want descriptor) []byte {
	got, err := puller.fetch(ctx, path, accepts(want, path))
	s := &piece{Name: name, Digest: want.Digest, Bytes: int64(len(got.data))}
	p.Pieces = append(p.Pieces, s)
	if got.location != nil {
		s.Location = got.location.String()
		s.WentTo = got.location.Host
		if n, ok := c.world.at(got.location.Host); ok {
			s.WentTo = n.name
		}
	}
	s.DigestOK = err == nil && digestOf(got.data) == want.Digest && (want.Size == 0 || want.Size == s.Bytes)
	switch from := p.client.from(name); {
	case err != nil && s.WentTo == "":
		p.problem("%s: %v", name, err)
	case err != nil:
		p.problem("%s: %s: %v", name, s.WentTo, err)
	case !s.DigestOK:
		p.problem("%s: %s sent %d bytes that are not %s", name, s.WentTo, s.Bytes, want.Digest)
	case s.WentTo != from:
		p.problem("%s: went to %s, should have gone to %s", name, s.WentTo, from)
	}
	c.compareExplanation(ctx, p, s, path)
	if !s.DigestOK {
		return nil
	}
	return got.data
}

// compareExplanation asks the proxy for an explanation, and checks that it
// agrees with what the proxy did.
func (c *checker) compareExplanation(ctx context.Context, p *pull, s *piece, path string) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	addr, err := netip.ParseAddr(p.client.Address)
	if err != nil {
		p.problem("%s: %v", s.Name, err)
		return
	}
	e, err := c.explain(ctx, addr, path)
	if err != nil {
		p.problem("%s: explain: %v", s.Name, err)
		return
	}
	p.Place, s.Reason, s.PassedBy = e.Place, e.Reason, e.PassedBy
	if e.Place != p.client.Place {
		p.problem("%s: the proxy places %s in %q, should be %q", s.Name, addr, e.Place, p.client.Place)
	}
	if e.Location != s.Location {
		p.problem("%s: redirected to %q, explained as %q", s.Name, s.Location, e.Location)
	}
}

// compareLedgers checks that each node sent this client exactly what the client
// got from it.
func (c *checker) compareLedgers(ctx context.Context, p *pull) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for _, n := range c.world.nodes {
		sent := n.ledger.sent(ctx, p.Client)
		for _, s := range p.Pieces {
			if s.WentTo != n.name {
				continue
			}
			if sent[s.Digest] != s.Bytes {
				p.problem("%s: got %d bytes from %s, which sent %d", s.Name, s.Bytes, n.name, sent[s.Digest])
			}
			delete(sent, s.Digest)
		}
		for digest, bytes := range sent {
			p.problem("%s sent %d bytes of %q that nobody was sent there for", n.name, bytes, digest)
		}
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		p.problem("requests did not finish within %s", settleTimeout)
	}
}

func accepts(want descriptor, path string) string {
	if path == blobPath(want.Digest) {
		return ""
	}
	return acceptManifests
}

// decode reads a piece that should be JSON. It reports nothing for a piece that
// never arrived, because piece has reported that already.
func decode(p *pull, name string, data []byte, into any) bool {
	if data == nil {
		return false
	}
	if err := json.Unmarshal(data, into); err != nil {
		p.problem("%s: %v", name, err)
		return false
	}
	return true
}

// find returns the manifest of a platform.
func find(index indexJSON, want string) (descriptor, bool) {
	i := slices.IndexFunc(index.Manifests, func(d descriptor) bool {
		return d.Platform != nil && d.Platform.OS+"/"+d.Platform.Architecture == want
	})
	if i < 0 {
		return descriptor{}, false
	}
	return index.Manifests[i], true
}

// problem records a deviation from the scenario.
func (p *pull) problem(format string, args ...any) {
	p.Problems = append(p.Problems, fmt.Sprintf(format, args...))
}
