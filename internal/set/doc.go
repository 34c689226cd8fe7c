// Package set knows sets of up to 256 small numbers: the stores and upstreams of one configuration, by index. A set
// is a plain value. Compare it with ==, and copy it by assignment. No operation allocates.
//
// The package must not know what the numbers stand for.
package set
