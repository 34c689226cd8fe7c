// Package proxy is the HTTP surface of oci-proxy: listeners, the request handler, the admin port, hot reload
// and drain.
//
// It brings together what the packages below it know: a request is parsed (oci), its client found (clientip)
// and located (ranges), the decision made (route) with the state filled in from existence, and one wrapper
// turns the result into HTTP, metrics and a log line. Everything one configuration brings with it is an
// immutable wiring behind an atomic pointer; a reload builds a new one beside it.
//
// It must not know file formats, how an address becomes a place, or how candidates are ranked.
package proxy
