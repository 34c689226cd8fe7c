// Command routing measures how good the routing score is at finding the
// nearest of a few stores, against round trips measured between the regions of
// AWS and of Azure. It prints one line "name value unit" a figure; docs/places.md
// explains them.
//
// The ranking under test is the one the server uses, compiled by
// internal/route. The measurements are read from ../shared/data/latency beside
// the project and are not part of it.
package main
