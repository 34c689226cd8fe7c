// Package manifest reads and writes promoter manifests. They say which digests of a staging registry go to
// production, where, and under which tags. The formats are those of the Kubernetes image promoter.
//
// A thin tree is a directory. For each project it has manifests/<project>/promoter-manifest.yaml (registries) and
// images/<project>/images.yaml (images, digests, tags). A plain manifest is one file with both. [Load] reads either,
// and reports all faults at once, each with its position. [Tree.Hold] says what may be promoted in spite of the
// faults. [Format] gives a file its canonical layout.
//
// It knows the files and what they may say. It must not know registries: it makes no request, and never asks whether
// a registry can provide what a manifest promises. It imports oci only.
package manifest
