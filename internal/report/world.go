package report

import (
	"slices"

	"ociproxy/internal/bill"
	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/traffic"
)

// world is the config with its prices. It remembers the meters that it looked up.
type world struct {
	in        *Input
	places    *place.Map
	canonical string
	spots     map[place.Place]place.Spot
	known     map[string]*candidate
	list      []*candidate // in the order of the config, stores first
	lanes     map[lane]meters
}

// candidate is a store or upstream of the config.
type candidate struct {
	name   string
	at     place.Place
	cdn    string
	store  *config.Store // nil: an upstream
	serves config.Serves
}

// lane is what the meters of a row depend on.
type lane struct {
	store     string
	client    place.Place
	class     traffic.Class
	operation traffic.Operation
}

// meters are the two meters of a row.
type meters struct{ bytes, requests bill.Meter }

func newWorld(in *Input) *world {
	w := &world{
		in: in, places: in.Config.Map(), canonical: in.Config.Canonical().Name, spots: map[place.Place]place.Spot{},
		known: map[string]*candidate{}, lanes: map[lane]meters{},
	}
	for i := range in.Config.Stores {
		s := &in.Config.Stores[i]
		w.list = append(w.list, &candidate{s.Name, s.Place, s.CDN, s, s.Serves})
	}
	for i := range in.Config.Upstreams {
		u := &in.Config.Upstreams[i]
		w.list = append(w.list, &candidate{u.Name, u.Place, "", nil, u.Serves})
	}
	for _, c := range w.list {
		w.known[c.name] = c
	}
	return w
}

// spot returns where a place is; unknown for a place that is not on the map.
func (w *world) spot(p place.Place) place.Spot {
	s, ok := w.spots[p]
	if !ok {
		site, _ := w.places.Find(p)
		s = site.Spot
		w.spots[p] = s
	}
	return s
}

// meters returns the meters of bytes and requests of a lane.
func (w *world) meters(l lane) meters {
	m, ok := w.lanes[l]
	if !ok {
		key := traffic.Key{Store: l.store, Client: l.client, Class: l.class, Operation: l.operation}
		m.bytes, m.requests = w.in.Book.Meters(&key, w.spot(l.client))
		w.lanes[l] = m
	}
	return m
}

// home reports whether a store is in the client's cloud, so that its bytes do not cross the cloud's border.
func (w *world) home(c *candidate, client place.Place) bool {
	return c.cdn == "" && w.places.OneCloud(client, c.at)
}

// serve reports whether the candidate may serve clients of a cloud.
func (c *candidate) serve(cloud string) bool {
	return c.serves.All || c.serves.IsZero() || slices.Contains(c.serves.Clouds, cloud)
}
