// Package prove compares production with what manifests say of it, and writes down what there is.
//
// [Run] reads each destination repository once and each promoted image where it lies, and looks into the inventories of the stores.
// It finds what is missing, what was moved, changed or put there by others, and what is not signed. Memory is bounded by the
// repositories that are looked at together and by the findings that are kept; their counts are always exact. [Loop] does so for
// ever, for an auditor. [Snapshot] writes the images of a registry as a manifest.
//
// It knows manifests, registries, signatures and inventories, and only reads. It must not know plans, commands, or how results are
// shown.
package prove
