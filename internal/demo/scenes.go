package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/wait"
)

// Two scenes that a single pull cannot show: machines that look like retries but are not, and a client whose problem
// shows only in its retries.

// fleet is a group of machines behind one address that pull the same image. They must keep using their store.
type fleet struct {
	Address  string `json:"address"`
	Machines int    `json:"machines"`
	Store    string `json:"store"`
	// Requests counts the requests for blobs. Past counts those that were not sent to the store.
	Requests int  `json:"requests"`
	Past     int  `json:"past"`
	OK       bool `json:"ok"`
	// Problem says why OK is false.
	Problem string `json:"problem,omitempty"`
}

// blocked is a client whose network does not let it reach its nearest store.
type blocked struct {
	Address string `json:"address"`
	Store   string `json:"store"` // the store that the client cannot reach
	// Pulls is how many pulls it needed. From says where the blobs of the last pull came from.
	Pulls int            `json:"pulls"`
	From  map[string]int `json:"from"`
	OK    bool           `json:"ok"`
	// Problem says why OK is false.
	Problem string `json:"problem,omitempty"`
}

const (
	fleetAddress   = "192.0.2.10"
	fleetMachines  = 100
	fleetParallel  = 10
	fleetMostPast  = 20 // of 500: until the proxy recognises that these are many machines
	blockedAddress = "192.0.2.20"
	blockedPulls   = 3
	blockedPause   = 100 * time.Millisecond
)

// playScenes plays both scenes and puts the results into r.
func (c *checker) playScenes(ctx context.Context, r *report) {
	var err error
	if r.Fleet, err = c.roll(ctx); err != nil {
		r.Fleet.Problem = err.Error()
	}
	r.Blocked = c.detour(ctx)
	r.OK = r.OK && r.Fleet.OK && r.Blocked.OK
}

// roll pulls as a fleet behind one address.
func (c *checker) roll(ctx context.Context) (*fleet, error) {
	f := &fleet{Address: fleetAddress, Machines: fleetMachines, Store: nodeVirginia}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(fleetParallel)
	for range fleetMachines {
		g.Go(func() error {
			p := newPuller(c.transport, c.proxy, "fleet", fleetAddress)
			for _, digest := range c.sceneBlobs() {
				got, err := p.fetch(ctx, blobPath(digest), "")
				if err != nil {
					return fmt.Errorf("a machine of the fleet: %w", err)
				}
				mu.Lock()
				f.Requests++
				if n, ok := c.world.at(got.location.Host); !ok || n.name != f.Store {
					f.Past++
				}
				mu.Unlock()
			}
			return nil
		})
	}
	err := g.Wait()
	f.OK = err == nil && f.Past <= fleetMostPast
	return f, err
}

// errRefused is the error of a connection that a firewall blocks.
var errRefused = errors.New("the network lets nothing through")

// wall is a network that blocks all traffic to one host.
type wall struct {
	http.RoundTripper
	host string
}

func (w wall) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == w.host {
		return nil, errRefused
	}
	return w.RoundTripper.RoundTrip(r)
}

// detour pulls as a client that cannot reach its nearest store, and starts again when a blob fails.
func (c *checker) detour(ctx context.Context) *blocked {
	b := &blocked{Address: blockedAddress, Store: nodeVirginia}
	store := c.world.node(b.Store)
	p := newPuller(wall{c.transport, store.listener.Addr().String()}, c.proxy, "blocked", blockedAddress)
	var err error
	for b.Pulls < blockedPulls {
		b.Pulls++
		b.From = map[string]int{}
		if err = c.pullBlobs(ctx, p, b.From); err == nil {
			b.OK = true
			return b
		}
		if wait.For(ctx, blockedPause) != nil {
			break
		}
	}
	b.Problem = fmt.Sprintf("not complete after %d pulls: %v", b.Pulls, err)
	return b
}

// sceneBlobs returns the blobs of the image in a fixed order, as a runtime gets them from the manifest.
func (c *checker) sceneBlobs() []string {
	return slices.Sorted(maps.Values(c.world.image.platforms["linux/amd64"].blobs))
}

func (c *checker) pullBlobs(ctx context.Context, p *puller, from map[string]int) error {
	for _, digest := range c.sceneBlobs() {
		got, err := p.fetch(ctx, blobPath(digest), "")
		if err != nil {
			return err
		}
		if digestOf(got.data) != digest {
			return fmt.Errorf("wrong bytes of %s", digest)
		}
		if n, ok := c.world.at(got.location.Host); ok {
			from[n.name]++
		}
	}
	return nil
}

// writeText describes the fleet for a person.
func (f *fleet) writeText(w io.Writer) error {
	if f.Problem != "" {
		_, err := fmt.Fprintf(w, "%d machines behind %s: %s.\n", f.Machines, f.Address, f.Problem)
		return err
	}
	stayed := fmt.Sprint(f.Requests - f.Past)
	if f.OK {
		// The exact number depends on which machine asks first, but users compare this output with the README.
		stayed = fmt.Sprint("at least ", f.Requests-fleetMostPast)
	}
	_, err := fmt.Fprintf(w, "%d machines behind %s pulled the image too: %s of %d requests for blobs stayed at %s.\n",
		f.Machines, f.Address, stayed, f.Requests, f.Store)
	return err
}

func (b *blocked) writeText(w io.Writer) error {
	if !b.OK {
		_, err := fmt.Fprintf(w, "A client at %s that cannot reach %s: %s.\n", b.Address, b.Store, b.Problem)
		return err
	}
	_, err := fmt.Fprintf(w, "A client at %s that cannot reach %s got everything with pull %d, from %s.\n", b.Address, b.Store, b.Pulls, strings.Join(slices.Sorted(maps.Keys(b.From)), ", "))
	return err
}
