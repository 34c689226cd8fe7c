// Package set knows sets of up to 256 small numbers: the stores and upstreams of one configuration, by index. They are plain
// values, compared with ==, copied by assignment, and nothing about them allocates.
//
// The package must not know what the numbers stand for.
package set
