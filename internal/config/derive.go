package config

import (
	"strings"

	"ociproxy/internal/clientip"
	"ociproxy/internal/place"
)

// Map is the built-in map with this file's places. Safe for concurrent use.
func (c *Config) Map() *place.Map {
	if c.places != nil {
		return c.places
	}
	var sites []place.Site // a Config made by a program, not read from a file
	for _, p := range c.declaredPlaces() {
		sites = append(sites, c.Places[p].site(p))
	}
	m, err := place.Embedded().With(sites...)
	if err != nil {
		panic("config: " + err.Error())
	}
	return m
}

func (s Site) site(p place.Place) place.Site {
	out := place.Site{Place: p, Name: s.Name, Partition: s.Partition, Aliases: s.Aliases, Price: s.Price}
	out.Country = s.Country
	if s.Lat != nil && s.Lon != nil {
		out.Point = place.Point{Lat: *s.Lat, Lon: *s.Lon}
	}
	return out
}

// Rule is how to learn the client's address: the preset's rule with the file's keys laid over it.
func (c Client) Rule() clientip.Rule {
	b := c.Behind
	r, _ := clientip.Preset(b.Preset)
	if b.Header != "" && b.Header != r.Header {
		r.Header, r.Entry, r.Single, r.Port = b.Header, 0, false, false // the preset's shape was that of its own header
	}
	if b.Entry != 0 {
		r.Entry = b.Entry
	}
	if len(b.Trusted) > 0 {
		r.Trusted = b.Trusted
	}
	if b.RequireHeader != "" || b.RequireValue != "" {
		r.RequireHeader, r.RequireValue = b.RequireHeader, b.RequireValue
	}
	r.Single = r.Single || b.Single
	r.Port = r.Port || b.Port
	r.ProxyProtocol = r.ProxyProtocol || b.ProxyProtocol
	return r
}

// Canonical is the upstream that has everything.
func (c *Config) Canonical() *Upstream {
	for i := range c.Upstreams {
		if c.Upstreams[i].Canonical {
			return &c.Upstreams[i]
		}
	}
	return nil
}

// Parts are what stands before and after the digest in URL.
func (s *Store) Parts() (before, after string) {
	before, after, _ = strings.Cut(s.URL, digestMark)
	return before, after
}

// CheckParts are what stands before and after the digest in Check.
func (s *Store) CheckParts() (before, after string) {
	before, after, _ = strings.Cut(s.Check, digestMark)
	return before, after
}
