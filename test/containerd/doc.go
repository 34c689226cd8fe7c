// Package containerd runs its own containerd, which keeps everything in a temporary directory. It pulls images with it:
// by ctr, and over CRI as a kubelet does.
//
// It knows containerd's configuration of both major versions, and hosts.toml. It must not know the proxy.
package containerd
