package bill

import (
	"cmp"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/price"
	"ociproxy/internal/traffic"
)

// Book holds the prices of everything that a configuration uses. It is immutable and safe for concurrent use.
type Book struct {
	cfg   *config.Config
	m     *place.Map
	sides map[string]*side
}

// side is a store or upstream as a sender of bytes.
type side struct {
	name    string
	source  place.Source
	bucket  string
	account string
}

// New returns the book of a configuration. The configuration is valid, as config.Load returns it.
func New(cfg *config.Config) (*Book, error) {
	b := &Book{cfg: cfg, m: cfg.Map(), sides: map[string]*side{}}
	for i := range cfg.Stores {
		s := &cfg.Stores[i]
		b.sides[s.Name] = &side{s.Name, place.Source{Place: s.Place, CDN: s.CDN, Override: s.Price}, s.Bucket, s.Owner}
	}
	for i := range cfg.Upstreams {
		u := &cfg.Upstreams[i]
		b.sides[u.Name] = &side{u.Name, place.Source{Place: u.Place, Override: u.Price}, "", ""}
	}
	return b, nil
}

// Transfer returns the meter of bytes that a store or upstream sends. The client is where they go: a place, a spot, or
// both unknown. Class tells what kind of transfer it is: for [traffic.Origin] the client does not matter.
func (b *Book) Transfer(store string, class traffic.Class, client place.Place, at place.Spot) Meter {
	s := b.sides[store]
	if s == nil {
		return Meter{Store: store, Item: Free}
	}
	m := Meter{Account: s.account, Store: store, Provider: cmp.Or(s.source.CDN, s.source.Place.Cloud), Item: Free}
	if class == traffic.Endpoint || class == traffic.Lifecycle {
		return m
	}
	c := b.m.Cell(s.source, client, at)
	if c.Kind != "" {
		m.Item, m.From, m.To = c.Kind, c.From, c.To
	}
	return m
}

// Request returns the meter of a request to a store. A CDN bills by where the client is.
func (b *Book) Request(store string, op traffic.Operation, client place.Place, at place.Spot) Meter {
	return Meter{Store: store, Item: Free}
}

// Storage returns the meter of what a store holds, in bytes for a month.
func (b *Book) Storage(store string) Meter { return Meter{Store: store, Item: Free} }

// Meters returns the two meters of a row of traffic: of its bytes, and of its requests.
func (b *Book) Meters(k *traffic.Key, at place.Spot) (bytes, requests Meter) {
	return b.Transfer(k.Store, k.Class, k.Client, at), b.Request(k.Store, k.Operation, k.Client, at)
}

// Bill returns exactly what the uses of one calendar month cost. Uses of one meter are added. Give it all uses of a
// payer together: tiers count them together.
func (b *Book) Bill(uses []Use) *Bill {
	quantities := map[Meter]float64{}
	for _, u := range uses {
		quantities[u.Meter] += u.Quantity
	}
	return b.bill(quantities)
}

// Marginal returns the price of the next unit of a meter: for estimates. It is in US dollars for a base quantity: a byte,
// a request.
func (b *Book) Marginal(m Meter, before float64) float64 {
	l := b.ladder(m)
	if l.Unit == "" {
		return 0
	}
	return price.USD(1, l.Marginal(before).Cents, l.Unit)
}
