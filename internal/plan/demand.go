package plan

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"ociproxy/internal/place"
	"ociproxy/internal/traffic"
)

// Client is what the clients of one place download in a month.
type Client struct {
	Place place.Place // zero: not known
	// Country is where clients are that are in no cloud, an ISO 3166-1 code; "": not known, or Place says it.
	Country  string
	Bytes    float64
	Requests float64
	// Hot is the share of Bytes that is of the most pulled digests: see [Demand.Heat]. 0 to 1.
	Hot float64
}

// Name returns the place as people write it: aws/us-east-1, aws, DE or unknown.
func (c *Client) Name() string {
	if c.Country != "" {
		return c.Country
	}
	return cmp.Or(c.Place.String(), "unknown")
}

// Demand is what all clients download in a month. Each place is there once.
type Demand struct {
	Clients []Client // the largest first
	// Days is how many days the demand was counted on; 0: it was given as that of a month.
	Days int
	// HotStored is the share of the stored bytes that the most pulled digests have; 0 before [Demand.Heat].
	HotStored float64
}

// Bytes returns the sum over all clients.
func (d *Demand) Bytes() (sum float64) {
	for i := range d.Clients {
		sum += d.Clients[i].Bytes
	}
	return sum
}

// Month is how many days a month has: a twelfth of a year.
const Month = 365.25 / 12

// clientKey is what makes a client one.
type clientKey struct {
	at      place.Place
	country string
}

// newDemand makes a demand of sums.
func newDemand(sums map[clientKey]*Client, days int) *Demand {
	d := &Demand{Days: days}
	for k, c := range sums {
		c.Place, c.Country = k.at, k.country
		d.Clients = append(d.Clients, *c)
	}
	slices.SortFunc(d.Clients, func(a, b Client) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.Name(), b.Name()))
	})
	return d
}

// onMap returns the place by which the server ranks the clients of p.
func onMap(m *place.Map, p place.Place) place.Place {
	switch site, ok := m.Find(p); {
	case ok:
		return site.Place
	case m.HasCloud(p.Cloud):
		return m.Unlisted(p.Cloud, p.Region)
	}
	return place.Place{}
}

// Counter adds up rows of traffic to a demand.
type Counter struct {
	m    *place.Map
	sums map[traffic.Source]map[clientKey]*Client
	days map[traffic.Source]map[traffic.Day]bool
}

// NewCounter returns a counter that knows the places of m.
func NewCounter(m *place.Map) *Counter {
	return &Counter{m: m, sums: map[traffic.Source]map[clientKey]*Client{}, days: map[traffic.Source]map[traffic.Day]bool{}}
}

// Add takes a row. Only downloads of clients are demand.
func (c *Counter) Add(r *traffic.Row) {
	if r.Class != traffic.Client && r.Class != traffic.Endpoint || r.Operation != traffic.Get && r.Operation != traffic.Head {
		return
	}
	sums := c.sums[r.Source]
	if sums == nil {
		sums = map[clientKey]*Client{}
		c.sums[r.Source], c.days[r.Source] = sums, map[traffic.Day]bool{}
	}
	k := clientKey{at: onMap(c.m, r.Client)}
	if sums[k] == nil {
		sums[k] = &Client{}
	}
	sums[k].Requests += r.Requests
	if r.Operation == traffic.Get {
		sums[k].Bytes += r.Bytes
	}
	if r.Day != 0 {
		c.days[r.Source][r.Day] = true
	}
}

// order says which source counts when rows come from several: one request is in a row of each. The proxy sees all
// clients; the log of a store does not see those of other stores.
var order = []traffic.Source{traffic.FromProxy, traffic.FromPrometheus, traffic.FromStore}

// Demand returns what was added, as that of a month, and the source that it is from. It is nil when nothing was added.
func (c *Counter) Demand() (*Demand, traffic.Source) {
	for _, source := range order {
		sums := c.sums[source]
		if len(sums) == 0 {
			continue
		}
		d := newDemand(sums, len(c.days[source]))
		if d.Days > 0 {
			for i := range d.Clients {
				d.Clients[i].Bytes *= Month / float64(d.Days)
				d.Clients[i].Requests *= Month / float64(d.Days)
			}
		}
		return d, source
	}
	return nil, ""
}

// heat is what is pulled of one digest.
type heat struct {
	digest string
	size   float64 // the largest mean of a month and place: whoever resumes downloads less than the whole
	bytes  float64
}

// Heat finds the most pulled digests, as many as take share (0 to 1) of the stored bytes, and sets the share of them in
// the demand of each client. A digest comes first when it is pulled most per byte that it takes. Stored bytes that no
// object is about were not pulled, and are never hot; stored 0: all that is stored was pulled. Clients without objects
// get the share of all clients together.
func (d *Demand) Heat(m *place.Map, objects []traffic.Object, share, stored float64) {
	sums := map[string]*heat{}
	for i := range objects {
		o := &objects[i]
		if o.Digest == "" {
			continue // all digests of a roll-up that were not among the most pulled
		}
		h := sums[o.Digest]
		if h == nil {
			h = &heat{digest: o.Digest}
			sums[o.Digest] = h
		}
		if o.Requests > 0 {
			h.size = max(h.size, o.Bytes/o.Requests)
		}
		h.bytes += o.Bytes
	}
	all := slices.SortedFunc(maps.Values(sums), func(a, b *heat) int {
		return cmp.Or(cmp.Compare(b.bytes*a.size, a.bytes*b.size), strings.Compare(a.digest, b.digest))
	})
	pulled := 0.0
	for _, h := range all {
		pulled += h.size
	}
	stored = max(stored, pulled)
	hot, taken := map[string]bool{}, 0.0
	for _, h := range all {
		if taken+h.size <= share*stored {
			hot[h.digest], taken = true, taken+h.size
		}
	}
	if stored > 0 {
		d.HotStored = taken / stored
	}
	var total [2]float64 // hot, all
	by := map[place.Place]*[2]float64{}
	for i := range objects {
		o := &objects[i]
		at := onMap(m, o.Client)
		if by[at] == nil {
			by[at] = &[2]float64{}
		}
		for _, t := range []*[2]float64{&total, by[at]} {
			t[1] += o.Bytes
			if hot[o.Digest] { // "" never is
				t[0] += o.Bytes
			}
		}
	}
	for i := range d.Clients {
		c := &d.Clients[i]
		of := by[c.Place]
		if of == nil || of[1] == 0 || c.Country != "" {
			of = &total
		}
		if of[1] > 0 {
			c.Hot = of[0] / of[1]
		}
	}
}
