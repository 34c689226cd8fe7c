package delivered

import (
	"strings"

	"ociproxy/internal/traffic"
)

// Class is what requests have in common whose downloads are cut about as often: the store, the kind of client, and how big the
// blob is. Another mix of clients or of images then needs no other factors.
type Class struct {
	Store string // "": all stores
	Kind  Kind   // "": all kinds
	Size  Size   // 0: all sizes
}

// Kind is the program that downloads.
type Kind string

// kinds are the programs that are told apart, by the beginning of their User-Agent in lower case. The rest is other: clients
// choose their User-Agent, so the number of kinds must have a bound.
var kinds = []Kind{
	"containerd", "containers", "docker", "cri-o", "podman", "skopeo", "buildah", "buildkit", "crane", "go-containerregistry", "kaniko", "stargz",
	"nydus", "soci", "regctl", "oras", "helm", "cosign", "kubelet", "curl", "wget", "go-http-client", "python-requests", "amazon cloudfront",
}

const other Kind = "other"

// KindOf returns the kind of a client by its User-Agent, as it is in the logs: some of them write a blank as %20.
func KindOf(agent string) Kind {
	agent = strings.ToLower(strings.ReplaceAll(agent, "%20", " "))
	for _, k := range kinds {
		if strings.HasPrefix(agent, string(k)) {
			return k
		}
	}
	return other
}

// Size is a class of sizes of blobs: the smaller the blob, the fewer downloads of it break off.
type Size uint8

// limits are the first sizes of the classes after the first, in bytes.
var limits = []int64{64 << 10, 1 << 20, 16 << 20, 128 << 20}

// SizeOf returns the class of a size in bytes; 0 when it is not known.
func SizeOf(size int64) Size {
	if size < 0 {
		return 0
	}
	class := Size(1)
	for _, l := range limits {
		if size >= l {
			class++
		}
	}
	return class
}

// wider returns the classes that stand in for c when too little is known of it, the narrowest first. What a program does with
// big blobs differs less between stores than between sizes.
func (c Class) wider() []Class {
	return []Class{c, {Kind: c.Kind, Size: c.Size}, {Store: c.Store, Kind: c.Kind}, {Kind: c.Kind}, {Store: c.Store}, {}}
}

// is reports whether a row is a download by a client.
func is(k *traffic.Key) bool {
	return k.Operation == traffic.Get && (k.Class == traffic.Client || k.Class == traffic.Endpoint)
}
