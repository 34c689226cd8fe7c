// Package metrics defines every metric of oci-proxy, in one place, on its own Prometheus registry.
//
// It knows names, labels and the bound on series. It must not know what is measured or how. Label values come
// from closed sets or from the configuration, never from a client; the pairs of client place and candidate,
// whose number the world decides, are capped and then counted under "other".
package metrics
