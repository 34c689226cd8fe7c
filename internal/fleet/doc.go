// Package fleet reads from Prometheus what all instances of the proxy counted: redirects and bytes by day, client place,
// store and reason.
//
// It knows the names of the proxy's metrics. It must not know prices, logs or reports.
package fleet
