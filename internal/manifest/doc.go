// Package manifest reads and writes promoter manifests: which digests of a staging registry are production, where, and under
// which tags. The formats are those of the Kubernetes image promoter.
//
// A thin tree is a directory with manifests/<project>/promoter-manifest.yaml (registries) and images/<project>/images.yaml (images,
// digests, tags) for each project; a plain manifest is one file with both. [Load] reads either, and finds every fault at once,
// each with its place; [Tree.Hold] says what may be promoted all the same. [Format] gives a file its canonical layout.
//
// It knows the files and what they may say. It must not know registries: it makes no request, and never asks whether what a
// manifest promises can be kept. It imports oci only.
package manifest
