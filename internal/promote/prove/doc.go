// Package prove compares production with its manifests, and writes down what production holds.
//
// [Run] reads each destination repository once and each promoted image where it lies, and looks into the inventories
// of the stores. It finds what is missing, what others moved, changed or added, and what is not signed. Memory is
// bounded by the repositories that are examined together and by the findings that are kept; the counts are always
// exact. [Loop] repeats this until it is stopped, for an auditor. [Snapshot] writes the images of a registry as a
// manifest.
//
// It knows manifests, registries, signatures and inventories, and only reads. It must not know plans, commands, or
// how results are shown.
package prove
