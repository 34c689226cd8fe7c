// Command routing measures how well the routing score finds the nearest of a few stores. It compares the score with
// round trips that were measured between the regions of AWS and of Azure. It prints one line "name value unit" per
// figure; docs/places.md explains the figures.
//
// The ranking under test is the server's own, compiled by internal/route. The command reads the measurements from
// ../shared/data/latency, next to the project. They are not part of it.
package main
