// Package containerd runs its own containerd, which keeps everything in a temporary directory. It pulls images with it:
// by ctr, and over CRI as a kubelet does. It runs containers with ctr, and pods over CRI.
//
// It knows containerd's configuration of both major versions, hosts.toml and the networks of pods. It must not know the proxy.
package containerd
