// Package loop does something again and again until it is told to stop, and says over HTTP how that goes: metrics, whether
// anything moves, and whether anything comes to its end.
//
// It knows turns, intervals and how turns end. It must not know what a turn does; what its reports mean, and what the metrics
// are called, is for those who have a loop.
package loop
