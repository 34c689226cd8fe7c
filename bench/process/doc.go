// Package process runs what a benchmark starts, and leaves nothing behind however the benchmark ends.
//
// [Run] is the frame of a benchmark's main: one temporary directory, and a context that ends with the first signal.
// [Command] is for every program: it ends with the context, with its children, and when this process dies.
//
// A process that is killed cannot tidy up. Its programs are then ended by the kernel (on Linux), and its directory is
// removed by the next [Run] of any benchmark.
//
// It must not know what is measured. scripts/suite stands on it too.
package process
