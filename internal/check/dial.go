package check

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"ociproxy/internal/outbound"
)

// family is an IP family in the spelling of the resolver.
type family string

const (
	ipv4 family = "ip4"
	ipv6 family = "ip6"
)

// String returns the name that the config uses.
func (f family) String() string { return "ipv" + string(f[2:]) }

func (f family) other() family {
	if f == ipv4 {
		return ipv6
	}
	return ipv4
}

// noAddress says that a host has no address of a family. That is an answer, not a network fault.
type noAddress struct {
	host    string
	f       family
	literal bool // the host is an address of the other family: no DNS record can change that
}

func (e *noAddress) Error() string {
	if e.literal {
		return e.host + " is an address of the other family"
	}
	record := "AAAA"
	if e.f == ipv4 {
		record = "A"
	}
	return e.host + " has no " + record + " record"
}

// resolver finds the addresses of a host in one family.
type resolver func(ctx context.Context, network, host string) ([]netip.Addr, error)

// lookup returns at least one address, or *noAddress, or the resolver's error.
func (r resolver) lookup(ctx context.Context, f family, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Unmap().Is4() == (f == ipv4) {
			return []netip.Addr{a}, nil
		}
		return nil, &noAddress{host, f, true}
	}
	addrs, err := r(ctx, string(f), host)
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound, err == nil && len(addrs) == 0:
		return nil, &noAddress{host, f, false}
	case err != nil:
		return nil, err
	}
	return addrs, nil
}

// transport makes connections in the given families only, tried in that order. It uses no proxy of the environment: the
// checks must see what clients see.
func transport(r resolver, tlsConf *tls.Config, timeout time.Duration, families ...family) *http.Transport {
	dialer := &net.Dialer{Timeout: timeout}
	dial := func(ctx context.Context, _, addr string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		var first error
		for _, f := range families {
			addrs, err := r.lookup(ctx, f, host)
			if err != nil {
				first = errors.Join(first, err)
				continue
			}
			for _, a := range addrs[:min(len(addrs), 2)] {
				conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(a.Unmap().String(), port))
				if err == nil {
					return conn, nil
				}
				first = errors.Join(first, err)
			}
		}
		return nil, first
	}
	return outbound.New(outbound.Options{
		Direct: true, DialContext: dial, TLS: tlsConf, Handshake: timeout, Kept: 1, HeaderBytes: 64 << 10,
	})
}

// noRoute reports whether err means that this machine has no network of that family, which says nothing about the
// server.
func noRoute(err error) bool {
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL) ||
		errors.Is(err, syscall.EAFNOSUPPORT)
}
