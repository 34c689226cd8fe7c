package judge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"ociproxy/internal/outbound"
)

// Family is an IP family in the spelling of the Resolver.
type Family string

const (
	IPv4 Family = "ip4"
	IPv6 Family = "ip6"
)

// String returns the name that the config uses.
func (f Family) String() string { return "ipv" + string(f[2:]) }

func (f Family) Other() Family {
	if f == IPv4 {
		return IPv6
	}
	return IPv4
}

// NoAddress says that a host has no address of a family. That is an answer, not a network fault.
type NoAddress struct {
	Host    string
	F       Family
	Literal bool // the host is an address of the other family: no DNS record can change that
}

func (e *NoAddress) Error() string {
	if e.Literal {
		return e.Host + " is an address of the other family"
	}
	record := "AAAA"
	if e.F == IPv4 {
		record = "A"
	}
	return e.Host + " has no " + record + " record"
}

// Resolver finds the addresses of a host in one family.
type Resolver func(ctx context.Context, network, host string) ([]netip.Addr, error)

// lookup returns at least one address, or *noAddress, or the Resolver's error.
func (r Resolver) lookup(ctx context.Context, f Family, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Unmap().Is4() == (f == IPv4) {
			return []netip.Addr{a}, nil
		}
		return nil, &NoAddress{host, f, true}
	}
	addrs, err := r(ctx, string(f), host)
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound, err == nil && len(addrs) == 0:
		return nil, &NoAddress{host, f, false}
	case err != nil:
		return nil, err
	}
	return addrs, nil
}

// Transport makes connections in the given families only, tried in that order. It uses no proxy of the environment: the
// checks must see what clients see.
func Transport(r Resolver, tlsConf *tls.Config, timeout time.Duration, families ...Family) *http.Transport {
	dialer := &net.Dialer{Timeout: timeout}
	dial := func(ctx context.Context, _, addr string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		var failed error
		for _, f := range families {
			addrs, err := r.lookup(ctx, f, host)
			if err != nil {
				failed = also(failed, err)
				continue
			}
			for _, a := range addrs[:min(len(addrs), 2)] {
				conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(a.Unmap().String(), port))
				if err == nil {
					return conn, nil
				}
				failed = also(failed, err)
			}
		}
		return nil, failed
	}
	return outbound.New(outbound.Options{
		Direct: true, DialContext: dial, TLS: tlsConf, Handshake: timeout, Kept: 1, HeaderBytes: 64 << 10,
	})
}

// also adds an error to those of other addresses. That an address has one family only is no news beside another error.
func also(failed, err error) error {
	var none *NoAddress
	switch {
	case failed == nil, errors.As(failed, &none) && none.Literal:
		return err
	case errors.As(err, &none) && none.Literal:
		return failed
	}
	return fmt.Errorf("%w; %w", failed, err)
}

// NoRoute reports whether err means that this machine has no network of that family, which says nothing about the
// server.
func NoRoute(err error) bool {
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL) ||
		errors.Is(err, syscall.EAFNOSUPPORT)
}

// Reached judges a connection over one family. Any HTTP answer is good enough.
func Reached(ans Answer, f Family, host string) Verdict {
	var none *NoAddress
	switch {
	case ans.Err == nil:
		return Good("answered in %s", ans.Took.Round(time.Millisecond))
	case errors.As(ans.Err, &none):
		return Verdict{Result: Warning, Detail: none.Error(), Hint: familyHint(f, host)}
	case NoRoute(ans.Err):
		return Note("not tested: this machine has no %s network", f)
	}
	v, _ := Trouble(ans)
	return v
}

// familyHint says how to serve a family for which a host has no address.
func familyHint(f Family, host string) string {
	other := f.Other()
	if _, err := netip.ParseAddr(host); err == nil {
		return fmt.Sprintf("say families: [%s], so that other clients are sent elsewhere", other)
	}
	fallBack := fmt.Sprintf("or say families: [%s], so that other clients are sent elsewhere", other)
	if f == IPv6 && strings.HasSuffix(host, ".amazonaws.com") && !strings.Contains(host, ".dualstack.") {
		return "use the dualstack name, BUCKET.s3.dualstack.REGION.amazonaws.com, " + fallBack
	}
	if f == IPv6 {
		return "add an AAAA record (S3 has dualstack names for it), " + fallBack
	}
	return "add an A record, " + fallBack
}
