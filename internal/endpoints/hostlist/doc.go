// Package hostlist makes the lists of endpoints that a config publishes, and the feed of the changes that they announce.
//
// It knows which hosts the stanzas of a config send clients to, and Atom. It must not know the time, files, or how a
// list is served: the same config gives the same bytes on every server.
package hostlist
