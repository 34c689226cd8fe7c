// Package metrics defines every metric of oci-proxy, in one place, on its own Prometheus registry.
//
// It knows names, labels and the bound on series. It must not know what is measured or how. Label values come from
// closed sets or from the configuration, never from a client. The number of pairs of client place and candidate is
// not bounded by the configuration, so it is capped; further pairs are counted under "other".
package metrics
