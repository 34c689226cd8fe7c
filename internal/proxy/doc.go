// Package proxy is the HTTP surface of oci-proxy: listeners, the request handler, the admin port, hot reload and
// drain.
//
// It combines the packages below it. It parses a request (oci), finds its client (clientip) and the client's place
// (ranges), and decides (route) with the state from existence. One wrapper turns the result into HTTP, metrics and a
// log line. Everything that belongs to one configuration is an immutable wiring behind an atomic pointer. A reload
// builds a new wiring beside the old one.
//
// It must not know file formats, how an address becomes a place, or how candidates are ranked.
package proxy
