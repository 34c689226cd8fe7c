// Package fetch keeps one remote or local document up to date: a conditional GET with a time-out and a size cap,
// and the last good copy on disk, so that a restart without network starts with what was known before.
//
// It knows HTTP, files and the layout of the copy on disk. It must not know what a document means:
// whoever uses it passes a Validate function and a document that fails it is never kept.
//
// Feeds, inventories and GeoIP files come through here.
package fetch
