package doctor

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/cli"
	"ociproxy/internal/outbound"
)

// Side says who can repair a fault.
type Side string

// The sides.
const (
	Nobody  Side = "none"     // there is nothing to repair
	Network Side = "network"  // this machine, or the network that it is in
	User    Side = "user"     // what the doctor was asked for is not there
	Owner   Side = "registry" // the operator of the registry
)

// Finding is what the facts say, and what to do about it.
type Finding struct {
	Kind     string   `json:"kind"`
	Side     Side     `json:"side"`
	Sentence string   `json:"sentence"`
	Hosts    []string `json:"hosts,omitempty"`
}

// diagnose returns what the facts say, the most important first: what stops a pull earliest. There is always a finding.
func diagnose(f *Facts) []Finding {
	var all []Finding
	for _, rule := range []func(*Facts) []Finding{
		theProxy, theResolver, theClock, everything, certificates, single, answers, families, resolvers, clockAlone, unfinished,
	} {
		all = append(all, rule(f)...)
	}
	if !slices.ContainsFunc(all, func(x Finding) bool { return x.Side != Nobody }) {
		all = append(all, well(f))
	}
	nothing := func(x Finding) bool { return x.Side == Nobody }
	var idle []Finding // what needs no repair comes last
	for _, x := range all {
		if nothing(x) {
			idle = append(idle, x)
		}
	}
	return append(slices.DeleteFunc(all, nothing), idle...)
}

// with returns the hosts whose way has one of these faults, and what shows it first.
func (f *Facts) with(faults ...Fault) (out []*Host, shows *Try) {
	for _, h := range f.Hosts {
		fault, t := h.fault()
		if slices.Contains(faults, fault) && h.Later.IsZero() {
			if out = append(out, h); shows == nil {
				shows = t
			}
		}
	}
	return out, shows
}

func theProxy(f *Facts) []Finding {
	if hosts, t := f.with(badSetting); t != nil {
		return one("proxy-setting", Network, hosts, "The proxy in %s of your environment cannot be read: write http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT with special characters as %%XX.",
			hosts[0].variable())
	}
	if hosts, t := f.with(proxyDead); t != nil {
		return one("proxy-dead", Network, hosts, "The proxy %s of your environment does not answer: start it, or correct %s.", t.proxy, hosts[0].variable())
	}
	if hosts, t := f.with(proxyLogin); t != nil {
		return one("proxy-login", Network, hosts, "The proxy %s wants a user and password (407): write them into %s as http://USER:PASSWORD@%s.",
			t.proxy, hosts[0].variable(), t.proxy)
	}
	return nil
}

// variable is the one that names the proxy for a host.
func (h *Host) variable() string {
	if h.Plain {
		return "HTTP_PROXY"
	}
	return "HTTPS_PROXY"
}

func theResolver(f *Facts) []Finding {
	if hosts, t := f.with(noResolver); t != nil && hosts[0] != f.registry() {
		return one("dns-fails", Network, hosts, "Your resolver gives no answer for %s: let it resolve %s.", names(hosts), itOrThem(hosts))
	} else if t != nil {
		return one("dns-dead", Network, hosts[:1], "No resolver of this machine answers%s: correct /etc/resolv.conf, or let port 53 (UDP and TCP) through to it.",
			bracketed(f.Servers))
	}
	if hosts, t := f.with(dnsFails); t != nil {
		return one("dns-fails", Network, hosts, "Your resolver answers with an error for %s: let it resolve %s.", names(hosts), itOrThem(hosts))
	}
	return nil
}

// tolerance is how far a clock may be off: registries' tokens and signed URLs hold for minutes.
const tolerance = 5 * 60 // seconds

// skewed returns the row that shows how far this machine's clock is off; nil when it is right, or not known.
func (f *Facts) skewed() (shows *Try) {
	for _, h := range f.Hosts {
		for _, t := range h.ways() {
			if !t.Dated {
				continue
			}
			if abs := max(t.Skew, -t.Skew).Seconds(); abs < tolerance {
				return nil // another host disagrees: it is the other one's clock
			}
			if shows == nil {
				shows = t
			}
		}
	}
	return shows
}

func theClock(f *Facts) []Finding {
	if t := f.skewed(); t != nil {
		if hosts, _ := f.with(badTime); len(hosts) > 0 {
			return clock(t)
		}
	}
	return nil
}

func clockAlone(f *Facts) []Finding {
	if t := f.skewed(); t != nil && theClock(f) == nil {
		return clock(t)
	}
	return nil
}

func clock(t *Try) []Finding {
	way, off := "behind", t.Skew
	if off < 0 {
		way, off = "ahead", -off
	}
	return one("clock", Network, nil, "The clock of this machine is %s %s: set it, and let it be kept by NTP.", roughly(off), way)
}

// everything finds a network that lets nothing through.
func everything(f *Facts) []Finding {
	blocked, t := f.with(silent, refused, rejected, noRoute)
	reachable := 0
	for _, h := range f.Hosts {
		if fault, _ := h.fault(); fault == noFault && h.Later.IsZero() {
			reachable++
		}
	}
	registry, _ := f.registry().fault()
	switch {
	case len(blocked) == 0 || reachable > 0:
		return nil
	case registry == noRoute:
		return one("offline", Network, blocked, "This machine has no route to %s: connect it to a network, or set HTTPS_PROXY if it must use a proxy.", names(blocked))
	case blocked[0] != f.registry():
		return nil
	case registry == refused:
		return one("refused", Network, blocked, "Connections to %s are refused: let the firewall allow %s, or tell the operator of %s if it does.",
			names(blocked), ports(blocked), f.Target.Registry)
	case registry == rejected:
		return one("blocked-all", Network, blocked, "Nothing of %s can be reached from here (%s): let the firewall allow %s.",
			f.Target.Registry, t.why, ports(blocked))
	}
	return one("blocked-all", Network, blocked, "Nothing of %s can be reached from here (no answer): let the firewall allow %s.",
		f.Target.Registry, ports(blocked))
}

// single finds what is wrong with single hosts, in the order in which clients meet it.
func single(f *Facts) (all []Finding) {
	registry := f.Target.Registry
	if hosts, _ := f.with(noRecord); len(hosts) > 0 {
		if hosts[0] == f.registry() {
			all = append(all, one("no-name", Network, hosts[:1], "The name %s does not exist for your resolver: check the spelling, or let your resolver resolve it.", hosts[0].Name)...)
		} else {
			all = append(all, one("no-name", Network, hosts, "Your resolver does not know %s: let it resolve %s.", names(hosts), itOrThem(hosts))...)
		}
	}
	if hosts, t := f.with(proxyRefuses); t != nil {
		all = append(all, refusedByProxy(hosts, t)...)
	}
	if hosts, t := f.with(proxyFails); t != nil {
		all = append(all, one("proxy-fails", Network, hosts, "The proxy %s cannot reach %s (%d): let its own firewall and resolver allow %s.",
			t.proxy, names(hosts), t.Status, itOrThem(hosts))...)
	}
	if everything(f) == nil {
		if hosts, _ := f.with(silent, noRoute); len(hosts) > 0 {
			all = append(all, one("blocked", Network, hosts, "A firewall drops connections to %s: let it allow %s.", names(hosts), ports(hosts))...)
		}
		if hosts, _ := f.with(refused); len(hosts) > 0 {
			all = append(all, one("refused", Network, hosts, "Connections to %s are refused: let the firewall allow %s, or tell the operator of %s if it does.",
				names(hosts), ports(hosts), registry)...)
		}
		if hosts, t := f.with(rejected); len(hosts) > 0 {
			all = append(all, one("rejected", Network, hosts, "A firewall or router rejects connections to %s (%s): let it allow %s.",
				names(hosts), t.why, ports(hosts))...)
		}
	}
	if hosts, _ := f.with(cutOff); len(hosts) > 0 {
		all = append(all, one("cut-off", Network, hosts, "Connections to %s are cut off as soon as the name is sent: let the firewall allow %s by name.",
			names(hosts), itOrThem(hosts))...)
	}
	if hosts, _ := f.with(stalled); len(hosts) > 0 {
		all = append(all, one("stalled", Network, hosts, "Connections to %s open, but no data come back: let the firewall pass them, or lower the MTU of this network (VPN).",
			names(hosts))...)
	}
	if hosts, _ := f.with(plainHTTP); len(hosts) > 0 {
		all = append(all, one("plain-http", User, hosts, "%s speaks plain HTTP, not HTTPS: write http://%s, and set the runtime to plain HTTP for it.",
			registry, net.JoinHostPort(hosts[0].Name, hosts[0].Port))...)
	}
	if hosts, _ := f.with(notTLS, webPage); len(hosts) > 0 {
		all = append(all, page(hosts)...)
	}
	if hosts, t := f.with(unknown); t != nil {
		all = append(all, one("unknown", Network, hosts, "Nothing sensible comes from %s (%s): ask the people who run your network.", names(hosts), t.Detail)...)
	}
	return all
}

func page(hosts []*Host) []Finding {
	return one("web-page", Network, hosts, "A web page comes from %s in place of the registry's answer: log in to this network, or exempt %s from its web filter.",
		names(hosts), itOrThem(hosts))
}

func refusedByProxy(hosts []*Host, t *Try) []Finding {
	direct := !slices.ContainsFunc(hosts, func(h *Host) bool { return !h.V4.works() && !h.V6.works() })
	or := ""
	if direct {
		or = fmt.Sprintf(", or name %s in NO_PROXY, because direct connections work", itOrThem(hosts))
	}
	return one("proxy-refuses", Network, hosts, "The proxy %s refuses connections to %s (%d): let it allow %s%s.", t.proxy, names(hosts), t.Status, ports(hosts), or)
}

// families finds an IP family that is broken while the other works.
func families(f *Facts) (all []Finding) {
	for _, family := range []judge.Family{judge.IPv6, judge.IPv4} {
		var broken []*Host
		for _, h := range f.Hosts {
			if h.broken(family) {
				broken = append(broken, h)
			}
		}
		if len(broken) == 0 {
			continue
		}
		bad, good := "IPv6", "IPv4"
		if family == judge.IPv4 {
			bad, good = good, bad
		}
		all = append(all, one(strings.ToLower(bad)+"-broken", Network, broken,
			"%s to %s is broken while %s works, so clients lose seconds at each connection or fail: let firewall and router pass %s, or switch %s off on this machine.",
			bad, names(broken), good, bad, bad)...)
	}
	return all
}

// broken reports whether a family fails at a host while the other one works.
func (h *Host) broken(family judge.Family) bool {
	t, other := h.V6, h.V4
	if family == judge.IPv4 {
		t, other = other, t
	}
	if h.Via != nil || t == nil || !other.works() || outbound.Loopback(h.Name) {
		return false // a server of this machine often listens in one family only, and a refusal there costs no time
	}
	return !slices.Contains([]Fault{noFault, noRecord, noRoute, noResolver, dnsFails, late}, t.Fault)
}

// resolvers finds servers that know less than others.
func resolvers(f *Facts) []Finding {
	for _, fault := range []Fault{noRecord, noResolver} {
		var bad, good []string
		var hosts []*Host
		for _, h := range f.Hosts {
			known := slices.ContainsFunc(h.Servers, func(a ServerAnswer) bool { return a.Fault == noFault })
			for _, a := range h.Servers {
				switch {
				case known && a.Fault == fault && h.Via == nil:
					bad, hosts = add(bad, a.Server), add(hosts, h)
				case a.Fault == noFault:
					good = add(good, a.Server)
				}
			}
		}
		good = slices.DeleteFunc(good, func(server string) bool { return slices.Contains(bad, server) })
		switch {
		case len(bad) == 0:
		case fault == noRecord:
			return one("dns-differs", Network, hosts, "Your resolvers disagree about %s (no address from %s, one from %s), so pulls fail by chance: correct %s, or remove it from /etc/resolv.conf.",
				names(hosts), series(bad), series(good), series(bad))
		default:
			return one("dns-slow", Network, hosts, "No answer comes from the resolver %s, only from %s, so look-ups lose seconds: repair %s, or remove it from /etc/resolv.conf.",
				series(bad), series(good), series(bad))
		}
	}
	return nil
}

// unfinished says that there was not enough time. What took it is mostly found before.
func unfinished(f *Facts) []Finding {
	if hosts, t := f.with(late); t != nil {
		return one("late", Network, hosts, "There was no time left for %s: run the doctor again with a longer --timeout.", names(hosts))
	}
	return nil
}

func well(f *Facts) Finding {
	switch {
	case f.Layer:
		return Finding{"well", Nobody, fmt.Sprintf("All is well: every host of %s that was tried can be reached from here, and a layer came complete and unchanged.", f.Target.Registry), nil}
	case f.Target.Image.Name != "":
		return Finding{"well", Nobody, fmt.Sprintf("All is well: every host of %s that was tried can be reached from here, but the image has no layer of at most 8 MiB to verify.", f.Target.Registry), nil}
	}
	return Finding{"well", Nobody, fmt.Sprintf("All is well: every host of %s that was tried can be reached from here; name an image to read a layer too.", f.Target.Registry), nil}
}

func one(kind string, side Side, about []*Host, format string, args ...any) []Finding {
	var list []string
	for _, h := range about {
		list = append(list, h.Address)
	}
	return []Finding{{kind, side, cli.OneLine(fmt.Sprintf(format, args...)), list}} // servers choose some of the words
}

func add[T comparable](list []T, x T) []T {
	if slices.Contains(list, x) {
		return list
	}
	return append(list, x)
}
