// Package loop repeats a task until it is stopped. It reports over HTTP how the task goes: metrics, whether anything
// makes progress, and whether turns finish.
//
// It knows turns, intervals and how turns end. It must not know what a turn does. The owner of the loop decides what
// the reports mean and how the metrics are called.
package loop
