// Package monitor probes a deployment again and again, and gives Prometheus what it saw: what SLOs and alerts need.
//
// It knows when to read whole layers, how many bytes a day may cost, and the metrics. It must not know what the probe
// asks, ports, or how results are shown to people.
package monitor
