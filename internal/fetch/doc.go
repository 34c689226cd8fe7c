// Package fetch keeps one remote or local document up to date. It sends a conditional GET with a time-out and a size
// cap, and keeps the last good copy on disk, so that a restart without network starts with the last known content.
//
// It knows HTTP, files and the layout of the copy on disk. It must not know what a document means: the caller passes
// a Validate function, and the package never keeps a document that fails it.
//
// Feeds, inventories and GeoIP files are fetched with this package.
package fetch
