package main

import (
	"crypto/ed25519"
	"net"
	"net/netip"
	"strconv"
	"time"

	"ociproxy/internal/endpoints"
	"ociproxy/internal/probeid"
)

// signer returns the function that signs requests of the probe.
func signer(private ed25519.PrivateKey) func(method, host, pathAndQuery string, addr netip.Addr) (header, value string) {
	return func(method, host, pathAndQuery string, addr netip.Addr) (header, value string) {
		return probeid.Header, probeid.Sign(private, probeid.Claim{
			Method: method, Host: host, Path: pathAndQuery, Address: addr, Time: time.Now(),
		})
	}
}

// publishedHosts reads a published list of hosts. The function that it returns reports whether a host, HOST or
// HOST:PORT, is on it.
func publishedHosts(text []byte) (listed func(host string) bool, err error) {
	list, err := endpoints.Parse(text)
	if err != nil {
		return nil, err
	}
	return func(host string) bool {
		name, port := host, uint16(443)
		if h, p, err := net.SplitHostPort(host); err == nil {
			n, err := strconv.ParseUint(p, 10, 16)
			if err != nil {
				return false
			}
			name, port = h, uint16(n)
		}
		return len(list.Find(name, port)) > 0
	}, nil
}
