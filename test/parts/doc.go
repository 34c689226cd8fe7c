// Package parts finds, starts and stops the real programs that the tests work with: registries, object stores,
// container runtimes.
//
// It knows how to start a process on a loopback port, how to wait for it by polling, how to keep its output for a
// failing test, and how to end it together with its children. It must not know what any of the programs is for: the
// packages next to it know that (registry, s3, containerd, proxy).
package parts
