// Package set knows sets of up to 256 small numbers: the stores and upstreams of one configuration, by index. A set
// is a plain value. Compare it with ==, copy it by assignment; nothing about it allocates.
//
// The package must not know what the numbers stand for.
package set
