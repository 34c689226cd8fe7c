// Package storeconform runs the conformance suite of internal/store over the real servers, one file a provider, with what is special to it.
package storeconform
