// Package against compares two real registries with `oci-proxyctl probe --against`'s engine: it must find differences of
// every kind, and none where there is none.
package against
