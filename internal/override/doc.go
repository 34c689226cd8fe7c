// Package override knows what the overrides of a publication make of a config at a time, and how a candidate that an
// override kept out comes back.
//
// It is pure, as config.At and package route are: it has no clock and makes no request. It must not know how overrides
// are fetched or who may sign them, and not how a candidate is probed: the caller brings the results.
package override
