// Package existence finds out with bounded HEAD requests whether a store or a replica upstream holds something.
//
// It is for candidates whose content is not known from an inventory. It knows how to ask once for many requests
// (single flight), how long an answer stays valid, and how to stay within fixed memory, connections and per-client
// shares whatever clients ask for. It knows how long to wait for an origin (pace.go) and whether the origin's "yes"
// means something (proof.go). It keeps connections warm (keep.go), and remembers which stores do not hold what their
// inventories list ([Doubts]). It must not know how candidates are ranked, health or configuration: the caller says
// which URL to ask, and a failure here never makes a candidate unhealthy.
package existence
