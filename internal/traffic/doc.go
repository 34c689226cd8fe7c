// Package traffic is what is counted of the requests for blobs: how many, how many bytes, of which day, between which
// client place and which store. Logs and Prometheus are read into [Row], roll-ups keep it, reports and plans begin with it.
//
// It must not know logs, files or prices.
package traffic
