// Package inspect reads the inventories that stores publish, for operators: what a store says it holds, how that
// differs from another store, and whether readers can believe it.
//
// It reads over HTTPS as the server does, through [ociproxy/internal/inventory], and keeps nothing: the downloads lie
// in a temporary directory until [Inventory.Close]. It must not know configuration, commands or how results are
// printed, and it writes to no store.
package inspect
