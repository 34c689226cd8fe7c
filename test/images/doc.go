// Package images tests the project's own container images. It makes them as `make image` does, pushes them to a real
// registry, and runs them with containerd and runc as an operator would: without root, on a read-only root.
package images
