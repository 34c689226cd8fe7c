// Package parts finds, starts and stops the real programs that the tests work with: registries, object stores,
// container runtimes.
//
// It knows how a process is started on a loopback port, how to wait for it by polling, how its output is kept for a
// failing test, and how it is ended together with its children. It must not know what any of the programs is for:
// that is told by the packages beside it (registry, s3, containerd, proxy).
package parts
