// Package gates tests `oci-proxyctl rollout` and the gates of deploy/rollout on a real Prometheus, which scrapes real
// instances that follow a publication.
package gates
