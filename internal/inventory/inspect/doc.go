// Package inspect reads the inventories that stores publish, for people: what a store says it holds, how that differs from what
// another store says, and whether readers can believe it.
//
// It asks over HTTPS as the server does, through [ociproxy/internal/inventory], and keeps nothing: what was downloaded lies in a
// temporary directory until [Inventory.Close]. It must not know configuration, commands or how things are printed, and it
// writes to no store.
package inspect
