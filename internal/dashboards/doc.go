// Package dashboards makes the Grafana dashboards of deploy/grafana: an overview, the money, and the fleet of mirrors,
// promoters and probes.
//
// It knows what the dashboards show and Grafana's JSON. It must not know how anything is measured, or what is an alert.
package dashboards

//go:generate go test -run TestFilesAreCurrent -update .
