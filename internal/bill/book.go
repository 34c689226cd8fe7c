package bill

import (
	"cmp"
	"fmt"
	"slices"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/store/address"
	"ociproxy/internal/traffic"
)

// Book holds the prices of everything that a configuration uses. It is immutable and safe for concurrent use.
type Book struct {
	cfg    *config.Config
	m      *place.Map
	tables *tables
	sides  map[string]*side
}

// side is a store or upstream as a sender of bytes.
type side struct {
	source   place.Source
	origin   place.Place // where the bucket of a CDN is; zero: not known
	account  string
	upstream bool
}

// New returns the book of a configuration. The configuration is valid, as config.Load returns it.
func New(cfg *config.Config) (*Book, error) {
	t, err := embedded()
	if err != nil {
		return nil, fmt.Errorf("bill: %w", err)
	}
	b := &Book{cfg: cfg, m: cfg.Map(), tables: t, sides: map[string]*side{}}
	for i := range cfg.Stores {
		s := &cfg.Stores[i]
		b.sides[s.Name] = &side{
			source: place.Source{Place: s.Place, CDN: s.CDN, Override: s.Price}, origin: originOf(s), account: b.accountOf(s.Name, s.Owner),
		}
	}
	for i := range cfg.Upstreams {
		u := &cfg.Upstreams[i]
		b.sides[u.Name] = &side{
			source: place.Source{Place: u.Place, Override: u.Price}, origin: u.Place, account: b.accountOf(u.Name, ""), upstream: true,
		}
	}
	return b, nil
}

// accountOf returns the account of a store: the one that names it, else its owner.
func (b *Book) accountOf(name, owner string) string {
	for account, a := range b.cfg.Billing.Accounts {
		if slices.Contains(a.Stores, name) {
			return string(account)
		}
	}
	return owner
}

// originOf returns where the bucket of a store is. For a store without CDN that is its place.
func originOf(s *config.Store) place.Place {
	if s.CDN == "" || !s.Place.IsZero() {
		return s.Place
	}
	bucket, err := address.Parse(s.Bucket)
	if err != nil {
		var ok bool
		if bucket, ok = address.OfURL(s.Check); !ok {
			return place.Place{}
		}
	}
	switch {
	case bucket.Endpoint != "":
		return place.Place{}
	case bucket.Scheme == "s3":
		return place.Place{Cloud: "aws", Region: bucket.Region}
	case bucket.Scheme == "gs":
		return place.Place{Cloud: "gcp"}
	case bucket.Scheme == "azblob":
		return place.Place{Cloud: "azure"}
	}
	return place.Place{}
}

// Account returns the account of a store or upstream, and who pays for it. Both are "" when nothing is known.
func (b *Book) Account(store string) (account, payer string) {
	s := b.sides[store]
	if s == nil {
		return "", ""
	}
	return s.account, b.payer(s.account)
}

func (b *Book) payer(account string) string {
	return cmp.Or(b.cfg.Billing.Accounts[config.AccountName(account)].Payer, account)
}

// Transfer returns the meter of bytes that a store or upstream sends. The client is where they go: a place, a spot, or
// both unknown. The class tells what kind of transfer it is: for [traffic.Origin] the client does not matter, it is the
// CDN of the store.
func (b *Book) Transfer(store string, class traffic.Class, client place.Place, at place.Spot) Meter {
	s := b.sides[store]
	if s == nil {
		return Meter{Store: store, Item: Unpriced}
	}
	m := Meter{Account: s.account, Store: store, Provider: s.provider(), Item: Free}
	switch {
	case class == traffic.Endpoint || class == traffic.Lifecycle:
		return m
	case class == traffic.Origin && s.source.CDN != "":
		return b.fill(m, s)
	case class != traffic.Client && s.source.CDN != "" && s.isCDN(b.tables):
		// We ask the bucket, not the CDN.
		return b.transfer(m, place.Source{Place: s.origin}, client, at)
	}
	return b.transfer(m, s.source, client, at)
}

func (b *Book) transfer(m Meter, from place.Source, client place.Place, at place.Spot) Meter {
	c := b.m.Cell(from, client, at)
	m.Provider = cmp.Or(c.Seller, m.Provider)
	switch {
	case c.Kind != "":
		m.Item, m.From, m.To = c.Kind, c.From, c.To
	case c.Basis == place.BasisUnpriced:
		m.Item = Unpriced
	}
	return m
}

// fill returns the meter of bytes from the bucket to the CDN before it.
func (b *Book) fill(m Meter, s *side) Meter {
	m.Provider, m.Item, m.From = s.source.CDN, Fill, s.origin.Cloud
	if _, ok := b.tables.find(m); ok || s.origin.IsZero() {
		return m
	}
	return b.transfer(m, place.Source{Place: s.origin}, place.Place{}, place.Spot{}) // the bucket's price to the internet
}

func (s *side) provider() string { return cmp.Or(s.source.CDN, s.source.Place.Cloud) }

// isCDN reports whether the store is a CDN before a bucket of another provider. R2, B2 and the like are both.
func (s *side) isCDN(t *tables) bool {
	_, stores := t.terms[s.source.CDN]
	return s.source.CDN != "" && !stores
}

// Request returns the meter of a client's request to a store. A CDN bills by where the client is. Requests to registries
// are free.
func (b *Book) Request(store string, op traffic.Operation, client place.Place, at place.Spot) Meter {
	return b.request(store, traffic.Client, op, client, at)
}

// request is [Book.Request] for any class: what is no client's asks the bucket behind a CDN.
func (b *Book) request(store string, class traffic.Class, op traffic.Operation, client place.Place, at place.Spot) Meter {
	s := b.sides[store]
	if s == nil {
		return Meter{Store: store, Item: Unpriced}
	}
	m := Meter{Account: s.account, Store: store, Provider: s.provider(), Item: Free}
	switch {
	case s.upstream || op == traffic.Delete || class == traffic.Lifecycle:
		return m
	case s.isCDN(b.tables) && class == traffic.Client:
		m.Item = CDNRequests
		m.To = b.m.Cell(s.source, client, at).To
	default:
		m.Item, m.From = Read, s.source.Place.Region
		if op != traffic.Get && op != traffic.Head {
			m.Item = Write
		}
		if s.isCDN(b.tables) {
			m.Provider, m.From = s.origin.Cloud, s.origin.Region
		}
	}
	return m
}

// Storage returns the meter of what a store holds, in byte-months: bytes held for a whole month. For a CDN it is the
// bucket behind it.
func (b *Book) Storage(store string) Meter { return b.storage(store, Stored) }

// storage is [Book.Storage] for [Stored], [Noncurrent] and [LogStorage].
func (b *Book) storage(store, item string) Meter {
	s := b.sides[store]
	if s == nil {
		return Meter{Store: store, Item: Unpriced}
	}
	m := Meter{Account: s.account, Store: store, Provider: s.provider(), Item: item, From: s.source.Place.Region}
	if s.isCDN(b.tables) {
		m.Provider, m.From = s.origin.Cloud, s.origin.Region
	}
	return m
}

// Meters returns the two meters of a row of traffic: of its bytes, and of its requests.
func (b *Book) Meters(k *traffic.Key, at place.Spot) (bytes, requests Meter) {
	return b.Transfer(k.Store, k.Class, k.Client, at), b.request(k.Store, k.Class, k.Operation, k.Client, at)
}

// Terms returns the conditions of the storage of a store, and false when none are known.
func (b *Book) Terms(store string) (Terms, bool) {
	t, ok := b.tables.terms[b.Storage(store).Provider]
	return t, ok
}
