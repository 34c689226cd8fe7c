// Package objectives makes the recording rules and alerts of deploy/prometheus that follow from objectives: which part of
// the pulls may fail, how fast decisions must be, how old inventories and images may be, what a day and a month may cost.
//
// It knows the names of the metrics, the windows and the burn rates. It must not know how anything is measured, charts, or
// who is told.
package objectives

//go:generate go test -run TestFilesAreCurrent -update .
