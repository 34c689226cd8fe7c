// Package edit changes values in the config file as a careful person would, and adds and removes stanzas: it keeps
// comments, order, quotes and every other byte.
//
// It finds the place of a value from the nodes of the YAML library and replaces or inserts those bytes; it never writes
// YAML from nodes. Then it reads the new text as the server does. The new config must differ from the old one in
// exactly the values that were asked for. Otherwise it refuses, and the file stays as it is.
//
// It must not know which changes make sense.
package edit
