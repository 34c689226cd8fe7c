// Package storeconform runs the conformance suite of internal/store with the real servers: one file per provider, with
// tests for its peculiarities.
package storeconform
