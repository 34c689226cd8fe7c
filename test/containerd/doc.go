// Package containerd runs a containerd of its own, with everything it keeps in a temporary directory, and pulls
// images with it: by ctr, and over CRI as a kubelet does.
//
// It knows containerd's configuration of both major versions and hosts.toml. It must not know the proxy.
package containerd
