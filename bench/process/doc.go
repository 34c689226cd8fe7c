// Package process runs what a benchmark starts, and cleans up however the benchmark ends.
//
// [Run] is the frame of a benchmark's main: it provides one temporary directory, and a context that ends with the first
// signal. Use [Command] for every program: the program and its children end with the context, and when this process
// dies.
//
// A process that is killed cannot clean up. The kernel then ends its programs (on Linux), and the next [Run] of any
// benchmark removes its directory.
//
// It must not know what is measured. scripts/suite uses it too.
package process
