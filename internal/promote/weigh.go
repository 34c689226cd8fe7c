package promote

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/oci"
	"ociproxy/internal/walk"
)

// Parts reads an image's manifests, children included. The errors are the registry's, and [walk.ErrNested].
func (r *Registries) Parts(ctx context.Context, repository string, d oci.Digest) (*walk.Parts, error) {
	reg, name, err := r.At(repository)
	if err != nil {
		return nil, err
	}
	return walk.PartsOf(ctx, reg, name, d)
}

// Weight is what one place receives.
type Weight struct {
	Blobs    int64 `json:"blobs"`
	Bytes    int64 `json:"bytes"`
	Requests int64 `json:"requests"` // estimated
	// Fault is why nothing is known about a store; "" if something is.
	Fault string `json:"fault,omitempty"`
}

// Stores is what a [Scale] needs to know of the stores that it weighs for. It addresses them by index.
type Stores struct {
	Count    int
	Lacking  func(d oci.Digest) []int          // the stores that do not have a blob
	Requests func(store int, size int64) int64 // requests to put a blob of a size into a store
}

// Scale adds up what a plan costs: by destination, and by store. Use it from one goroutine.
type Scale struct {
	parts func(ctx context.Context, repository string, d oci.Digest) (*walk.Parts, error)
	of    *Stores // nil: without stores

	Destinations map[string]*Weight // by the manifests' names
	Stores       []Weight           // by index
	Unknown      int64              // images that could not be read

	onHost  map[string]map[oci.Digest]bool // blobs that a host will have: they are mounted from then on
	stored  map[oci.Digest]bool
	pending []*Promotion
}

// NewScale makes a scale. parts reads images, by repository and digest. of may be nil: then stores are left out.
func NewScale(parts func(context.Context, string, oci.Digest) (*walk.Parts, error), of *Stores) *Scale {
	s := &Scale{
		parts: parts, of: of, Destinations: map[string]*Weight{},
		onHost: map[string]map[oci.Digest]bool{}, stored: map[oci.Digest]bool{},
	}
	if of != nil {
		s.Stores = make([]Weight, of.Count)
	}
	return s
}

// weighAtOnce is how many images are read at once.
const weighAtOnce = 16

// Add weighs a promotion, perhaps only together with later ones, because it reads several images at once.
func (s *Scale) Add(ctx context.Context, p *Promotion) error {
	if s.pending = append(s.pending, p); len(s.pending) >= weighAtOnce {
		return s.Flush(ctx)
	}
	return nil
}

// Flush weighs what is not weighed yet. An image that cannot be read is counted as unknown and costs nothing.
func (s *Scale) Flush(ctx context.Context) error {
	contents := make([]*walk.Parts, len(s.pending))
	var g errgroup.Group
	var mu sync.Mutex
	for i, p := range s.pending {
		g.Go(func() error {
			c, err := s.parts(ctx, p.From, p.Digest)
			if err != nil {
				mu.Lock()
				s.Unknown++
				mu.Unlock()
				return nil // planning continues: the summary has the number
			}
			contents[i] = c
			return nil
		})
	}
	_ = g.Wait()
	for i, p := range s.pending {
		if contents[i] != nil {
			s.weigh(p, contents[i])
		}
	}
	s.pending = s.pending[:0]
	return ctx.Err()
}

// Enter puts the weights into a summary. names are the names of the stores.
func (s *Scale) Enter(sum *Summary, names []string) {
	sum.Unknown = s.Unknown
	for name, w := range s.Destinations {
		if d := sum.By[name]; d != nil {
			d.Weight = w
		}
	}
	if s.of == nil {
		return
	}
	sum.Stores = map[string]*Weight{}
	for i, name := range names {
		sum.Stores[name] = &s.Stores[i]
	}
}

// The least number of requests to a registry for each step of an application.
const (
	askMount    = 1 // POST, answered 201
	askUpload   = 2 // POST, PUT
	askManifest = 2 // PUT, read back
	askTag      = 3 // HEAD, PUT, read back
)

func (s *Scale) weigh(p *Promotion, c *walk.Parts) {
	for _, t := range p.To {
		w := s.Destinations[t.Destination]
		if w == nil {
			w = new(Weight)
			s.Destinations[t.Destination] = w
		}
		w.Requests += int64(len(t.Tags)) * askTag
		if t.Copy {
			s.copy(w, t, c)
		}
	}
	if s.of == nil {
		return
	}
	for _, b := range c.Blobs {
		if s.stored[b.Digest] {
			continue
		}
		s.stored[b.Digest] = true
		for _, i := range s.of.Lacking(b.Digest) {
			s.Stores[i].add(b, s.of.Requests(i, max(0, b.Size)))
		}
	}
}

// copy weighs an image that a destination does not have. A blob that a host has is mounted from there.
func (s *Scale) copy(w *Weight, t Target, c *walk.Parts) {
	host, _, _ := SplitRepository(t.Repository)
	there := s.onHost[host]
	if there == nil {
		there = map[oci.Digest]bool{}
		s.onHost[host] = there
	}
	for _, b := range c.Blobs {
		if there[b.Digest] {
			w.Requests += askMount
			continue
		}
		there[b.Digest] = true
		w.add(b, askUpload)
	}
	for _, m := range c.Manifests {
		w.Bytes += max(0, m.Size)
		w.Requests += askManifest
	}
}

func (w *Weight) add(b walk.Blob, requests int64) {
	w.Blobs++
	w.Bytes += max(0, b.Size)
	w.Requests += requests
}
