// Package against compares what two registries' names give to clients: an old and a new name, a sandbox and production.
//
// It knows which answers must be the same, and reads long lists without keeping them. It must not know config, or how
// results are shown.
package against
