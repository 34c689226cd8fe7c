package fronts

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"ociproxy/internal/wait"
)

// Server is an authoritative name server of the zone.
type Server struct {
	Name string
	Addr string // host:port
}

// Servers returns the name servers of the zone, each with all its addresses, as the system's resolver knows them.
func Servers(ctx context.Context, zone string) ([]Server, error) {
	list, err := net.DefaultResolver.LookupNS(ctx, zone)
	if err != nil {
		return nil, err
	}
	var servers []Server
	for _, ns := range list {
		addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", ns.Host)
		if err != nil {
			return nil, err
		}
		for _, addr := range addrs {
			servers = append(servers, Server{Name: strings.TrimSuffix(ns.Host, "."), Addr: netip.AddrPortFrom(addr.Unmap(), 53).String()})
		}
	}
	return servers, nil
}

// Each question has this time, and each server is asked this often at most.
const (
	questionTime = 3 * time.Second
	maxQuestions = 400
	missedOnce   = 1e-4 // how likely it may be that all questions to a server miss a front that it still gives
)

// Questions returns how often a server must be asked so that a front with that share of the answers is not missed.
func Questions(share float64) int {
	if share <= 0 || share >= 1 {
		return 1
	}
	return min(maxQuestions, int(math.Ceil(math.Log(missedOnce)/math.Log(1-share))))
}

// Seen is what a server answered.
type Seen struct {
	Server Server
	Still  []netip.Addr // addresses that it gives and should not
	Lacks  []netip.Addr // addresses that it should give and does not
	Err    error        // it does not answer, or not with authority
}

// follows reports whether the server gives what it should.
func (s Seen) follows() bool { return s.Err == nil && len(s.Still) == 0 && len(s.Lacks) == 0 }

// Ask asks a server n times for the addresses of the name in each family, and compares them with those that it should
// not give and those that it should. A server that gives no address at all is an error: clients could not pull.
func Ask(ctx context.Context, s Server, name string, unwanted, wanted []netip.Addr, n int) Seen {
	seen, given := Seen{Server: s}, map[netip.Addr]bool{}
	client := &dns.Client{Timeout: questionTime}
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		for range n {
			addrs, err := question(ctx, client, s, name, kind)
			if err != nil {
				seen.Err = err
				return seen
			}
			for _, addr := range addrs {
				given[addr] = true
			}
		}
	}
	for _, addr := range unwanted {
		if given[addr] {
			seen.Still = append(seen.Still, addr)
		}
	}
	for _, addr := range wanted {
		if !given[addr] {
			seen.Lacks = append(seen.Lacks, addr)
		}
	}
	if len(given) == 0 {
		seen.Err = fmt.Errorf("it has no address for %s", name)
	}
	return seen
}

func question(ctx context.Context, client *dns.Client, s Server, name string, kind uint16) ([]netip.Addr, error) {
	q := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
	q.RecursionDesired = false
	answer, _, err := client.ExchangeContext(ctx, q, s.Addr)
	if err == nil && answer.Truncated {
		tcp := *client
		tcp.Net = "tcp"
		answer, _, err = tcp.ExchangeContext(ctx, q, s.Addr)
	}
	switch {
	case err != nil:
		return nil, err
	case answer.Rcode != dns.RcodeSuccess:
		return nil, fmt.Errorf("it answers %s", dns.RcodeToString[answer.Rcode])
	case !answer.Authoritative:
		return nil, errors.New("it is not authoritative for the name: a resolver, or the zone is not there")
	}
	var list []netip.Addr
	for _, rr := range answer.Answer {
		switch rr := rr.(type) {
		case *dns.A:
			addr, _ := netip.AddrFromSlice(rr.A)
			list = append(list, addr.Unmap())
		case *dns.AAAA:
			addr, _ := netip.AddrFromSlice(rr.AAAA)
			list = append(list, addr)
		}
	}
	return list, nil
}

// ErrStill is the error of [Follow] when the time was over first.
var ErrStill = errors.New("not all name servers follow")

// Follow asks all servers, every few seconds, until none gives an address of a front that is off, and each gives the
// wanted ones. share is that of the switched front while it is on: the smaller it is, the more often a server must be
// asked. Follow calls tell after each round with what keeps it waiting. When ctx ends first, the error is [ErrStill]
// with what is missing.
func Follow(ctx context.Context, f *File, servers []Server, wanted []netip.Addr, share float64, every time.Duration, tell func([]Seen)) error {
	if len(servers) == 0 {
		return errors.New("no name server")
	}
	var unwanted []netip.Addr
	for _, front := range f.Fronts {
		if !*front.On {
			unwanted = append(unwanted, front.addresses()...)
		}
	}
	n := Questions(share)
	for {
		answers := make(chan Seen, len(servers))
		for _, s := range servers {
			go func() { answers <- Ask(ctx, s, f.Name, unwanted, wanted, n) }()
		}
		var missing []Seen
		for range servers {
			if seen := <-answers; !seen.follows() {
				missing = append(missing, seen)
			}
		}
		if len(missing) == 0 {
			return nil
		}
		slices.SortFunc(missing, func(a, b Seen) int { return strings.Compare(a.Server.Addr, b.Server.Addr) })
		if ctx.Err() == nil {
			tell(missing)
		}
		if wait.For(ctx, every) != nil {
			return fmt.Errorf("%w: %s", ErrStill, Told(missing))
		}
	}
}

// Told says in one line what the servers still give.
func Told(missing []Seen) string {
	var list []string
	for _, m := range missing {
		var what string
		switch {
		case m.Err != nil:
			what = m.Err.Error()
		case len(m.Still) > 0:
			what = fmt.Sprintf("still gives %v", m.Still)
		default:
			what = fmt.Sprintf("does not give %v", m.Lacks)
		}
		list = append(list, fmt.Sprintf("%s (%s): %s", m.Server.Name, m.Server.Addr, what))
	}
	return strings.Join(list, "; ")
}
