// Package truth compares what the tools say of bytes and money with bytes that were counted on the wire: real clients' patterns
// of requests go through a real oci-proxy to real stores, each behind a counting proxy.
package truth
