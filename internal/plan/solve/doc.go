// Package solve finds the best set of sites, and proves that there is none better.
//
// It must not know clouds, prices or requests.
package solve
