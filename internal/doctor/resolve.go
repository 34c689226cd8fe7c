package doctor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"

	"ociproxy/internal/check/judge"
)

const resolvConf = "/etc/resolv.conf"

// maxServers is how many nameservers a resolver uses: MAXNS of resolv.conf(5).
const maxServers = 3

// nameservers returns the addresses of the resolvers that a system's file names.
func nameservers(file string) []string {
	text, err := os.ReadFile(file) //nolint:gosec // it is the system's own
	if err != nil {
		return nil
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) > 1 && words[0] == "nameserver" && len(out) < maxServers && !slices.Contains(out, words[1]) {
			if _, err := netip.ParseAddr(words[1]); err == nil {
				out = append(out, words[1])
			}
		}
	}
	return out
}

// through returns a resolver that asks one server only.
func through(server string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(server, "53"))
	}}
}

// addresses looks a name up in one family. Its fault is noRecord when the name, or an address of this family, is not
// there, and noResolver when there is no answer.
func addresses(ctx context.Context, r *net.Resolver, f judge.Family, host string) ([]netip.Addr, Fault, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Unmap().Is4() == (f == judge.IPv4) {
			return []netip.Addr{a.Unmap()}, noFault, nil
		}
		return nil, noRecord, &judge.NoAddress{Host: host, F: f, Literal: true}
	}
	found, err := r.LookupNetIP(ctx, string(f), host)
	var (
		dns   *net.DNSError
		other *net.AddrError // the file of hosts has another family only
	)
	switch {
	case err == nil && len(found) > 0:
		for i := range found {
			found[i] = found[i].Unmap()
		}
		return found, noFault, nil
	case err == nil, errors.As(err, &dns) && dns.IsNotFound, errors.As(err, &other):
		return nil, noRecord, &judge.NoAddress{Host: host, F: f}
	}
	return nil, looking(err), err
}

// looking is the fault of a look-up without a result.
func looking(err error) Fault {
	if dns, ok := errors.AsType[*net.DNSError](err); ok && !dns.IsTimeout && strings.Contains(dns.Err, "misbehaving") {
		return dnsFails // SERVFAIL, REFUSED
	}
	return noResolver
}

// ask asks each of several servers for a host by itself.
func (d *doctor) ask(ctx context.Context, host string) []ServerAnswer {
	if _, err := netip.ParseAddr(host); err == nil || len(d.servers) < 2 {
		return nil
	}
	out := make([]ServerAnswer, len(d.servers))
	var all sync.WaitGroup
	for i, server := range d.servers {
		all.Go(func() {
			out[i] = ServerAnswer{Server: server, Fault: noRecord}
			for _, f := range []judge.Family{judge.IPv4, judge.IPv6} {
				_, fault, _ := addresses(ctx, through(server), f, host)
				if fault != noRecord {
					out[i].Fault = fault
				}
				if fault == noResolver || fault == dnsFails {
					return
				}
			}
		})
	}
	all.Wait()
	return out
}

// lookup is the resolver to ask: that of the system, which asks its servers one after the other, unless the first ones
// do not answer.
func (d *doctor) lookup() *net.Resolver {
	if server := d.answering.Load(); server != nil {
		return through(*server)
	}
	return &net.Resolver{PreferGo: true}
}

// skip makes [doctor.lookup] ask a server that answers. It reports whether there is one.
func (d *doctor) skip(all []ServerAnswer) bool {
	for _, a := range all {
		if a.Fault == noFault {
			d.answering.Store(&a.Server)
			return true
		}
	}
	return false
}

// dial connects to a host for the requests that follow redirects.
func (d *doctor) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: d.opt.Timeout * 4 / 5, Resolver: d.lookup()}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return d.counted(conn), nil
}

func first[T any](list []T, n int) []T { return list[:min(len(list), n)] }
