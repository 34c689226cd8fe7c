// Package existence answers whether a store or a replica upstream holds something, by bounded HEAD requests.
//
// It is for candidates whose content is not known from an inventory. It knows how to ask once for many
// (single flight), how long an answer stays true, and how to stay within fixed memory, connections and
// per-client shares whatever is asked. It knows how long an origin may be waited for (pace.go) and whether its yes
// means something (proof.go), keeps connections warm (keep.go), and remembers where stores were found to lack what their
// inventories list ([Doubts]). It must not know how candidates are ranked, health or configuration: the
// caller says which URL to ask, and a failure here never makes a candidate unhealthy.
package existence
