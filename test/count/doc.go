// Package count is a counting proxy in front of a store: it counts what was really written to each client, byte by byte at
// the connection, and writes that as the access log that the store's provider would have delivered.
//
// It knows connections and requests. The layouts of the logs are those of internal/accesslog/accesslogtest. It must not know
// the proxy, nor what a report makes of the logs.
package count
