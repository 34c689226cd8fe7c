// Package classes knows which addresses stand for the clients of a config, and where the config would send them.
//
// It must not know what the probe asks.
package classes

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/probe"
	"ociproxy/internal/proxy"
)

// Unknown stands for clients that are in no range. The addresses are reserved for documentation (RFC 5737, RFC 3849).
const Unknown = "unknown"

var unknown = []netip.Addr{netip.MustParseAddr("203.0.113.20"), netip.MustParseAddr("2001:db8:20::20")}

// Source gives classes and decisions of one config. Close it at the end.
type Source struct {
	server *proxy.Server
	cfg    *config.Config
}

// Open loads a config's address ranges. When a feed cannot be had, warn is called with the reason, and the clients of
// that feed are missing.
func Open(ctx context.Context, cfg *config.Config, env func(string) string, warn func(error)) (*Source, error) {
	server, err := proxy.New(proxy.Options{Config: cfg, Env: env})
	if err != nil {
		return nil, err
	}
	if err := server.Prepare(ctx); err != nil {
		warn(err)
	}
	return &Source{server, cfg}, nil
}

// Close frees what Open took.
func (s *Source) Close() { s.server.Close() }

// All returns one class for each place and IP family that the ranges know: in the places of the config's stores and
// upstreams, in one place of each cloud without any of them, and one that is in no range. every returns all places
// instead.
func (s *Source) All(every bool) []probe.Class {
	served := map[place.Place]bool{}
	for i := range s.cfg.Stores {
		served[s.cfg.Stores[i].Place] = true
	}
	for i := range s.cfg.Upstreams {
		served[s.cfg.Upstreams[i].Place] = true
	}
	first := s.first()
	spare := map[string]bool{} // clouds that have their place without a store
	var out []probe.Class
	for _, k := range slices.SortedFunc(maps.Keys(first), compare) {
		outside := k.at.Cloud + k.family
		if !every && !served[k.at] && spare[outside] {
			continue
		}
		if !served[k.at] {
			spare[outside] = true
		}
		out = append(out, probe.Class{Name: k.String(), Addr: first[k]})
	}
	return append(out, OfUnknown()...)
}

// OfUnknown returns the classes of clients that are in no range.
func OfUnknown() (out []probe.Class) {
	for _, a := range unknown {
		out = append(out, probe.Class{Name: Unknown + " " + familyOf(a), Addr: a})
	}
	return out
}

// Places returns the names that Named knows, besides addresses.
func (s *Source) Places() (out []string) {
	for _, c := range s.All(true) {
		is, _, _ := strings.Cut(c.Name, " ")
		cloud, _, _ := strings.Cut(is, "/")
		out = append(out, is, cloud)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Named returns the classes of a place, a cloud, "unknown", or an address.
func (s *Source) Named(name string) ([]probe.Class, error) {
	if a, err := netip.ParseAddr(name); err == nil {
		return []probe.Class{Address(a)}, nil
	}
	var out []probe.Class
	for _, c := range s.All(true) {
		is, _, _ := strings.Cut(c.Name, " ")
		if is == name || strings.HasPrefix(is, name+"/") {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no address range of %q is known", name)
	}
	return out, nil
}

// Address is the class of one address.
func Address(a netip.Addr) probe.Class {
	a = a.Unmap().WithZone("")
	return probe.Class{Name: a.String(), Addr: a}
}

// Explain says where the config sends a client that asks for a path.
func (s *Source) Explain(ctx context.Context, addr netip.Addr, host, path string) (probe.Expected, error) {
	e, err := s.server.ExplainHost(ctx, addr, host, path)
	if err != nil {
		return probe.Expected{}, err
	}
	return probe.Expected{Candidate: e.Answer.Candidate, Location: e.Answer.Location, Reason: e.Answer.Reason}, nil
}

// key is a place and an IP family.
type key struct {
	at     place.Place
	family string
}

func (k key) String() string { return k.at.String() + " " + k.family }

func compare(a, b key) int {
	return cmp.Or(strings.Compare(a.at.String(), b.at.String()), strings.Compare(a.family, b.family))
}

func familyOf(a netip.Addr) string {
	if a.Unmap().Is4() {
		return "ipv4"
	}
	return "ipv6"
}

// first returns an address of each place: the first range that the table itself gives that place. Room for twenty
// machines is preferred.
func (s *Source) first() map[key]netip.Addr {
	out := map[key]netip.Addr{}
	roomy := map[key]bool{}
	table := s.server.Table()
	for _, e := range table.Entries() {
		k := key{e.Place, familyOf(e.Prefix.Addr())}
		if e.Place.Region == "" || roomy[k] {
			continue
		}
		a := inside(e.Prefix)
		if found, ok := table.Lookup(a); !ok || found.Place != e.Place {
			continue // a longer range of another place
		}
		if _, have := out[k]; !have || wide(e.Prefix) {
			out[k], roomy[k] = a, wide(e.Prefix)
		}
	}
	return out
}

// wide reports whether a range has room for a network of twenty machines.
func wide(p netip.Prefix) bool { return p.Addr().BitLen()-p.Bits() >= 6 }

// inside returns an address of a range that a machine can have, with room above it.
func inside(p netip.Prefix) netip.Addr {
	a := p.Masked().Addr()
	if p.IsSingleIP() {
		return a
	}
	return a.Next()
}
