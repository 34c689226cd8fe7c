package registry

import (
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// These are Docker's media types, and one that OCI has withdrawn.
const (
	dockerSchema1       = "application/vnd.docker.distribution.manifest.v1+json"
	dockerSchema1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	dockerSchema2       = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList          = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerLayer         = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	ociArtifact         = "application/vnd.oci.artifact.manifest.v1+json"
)

// acceptManifest asks for manifests unconverted. Without the OCI types, distribution answers 404. Without schema 2,
// older versions of it convert the manifest to schema 1. The last entry accepts any other type.
var acceptManifest = []string{strings.Join([]string{
	ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, dockerSchema2, dockerList, ociArtifact,
	dockerSchema1Signed, dockerSchema1, "*/*;q=0.1",
}, ", ")}

// isManifest reports whether a media type is certainly one of manifests or indexes.
func isManifest(t string) bool {
	switch t {
	case ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, dockerSchema2, dockerList, ociArtifact, dockerSchema1, dockerSchema1Signed:
		return true
	}
	return false
}

func isImage(t string) bool { return t == ocispec.MediaTypeImageManifest || t == dockerSchema2 }

func isIndex(t string) bool { return t == ocispec.MediaTypeImageIndex || t == dockerList }

// isBlob reports whether a media type is certainly one of layers or configs.
func isBlob(t string) bool {
	return strings.HasPrefix(t, "application/vnd.oci.image.layer.") || strings.HasPrefix(t, "application/vnd.docker.image.rootfs.") ||
		t == ocispec.MediaTypeImageConfig || t == "application/vnd.docker.container.image.v1+json" ||
		t == "application/vnd.buildkit.cacheconfig.v0"
}

// vague reports whether a media type says nothing about the kind of a manifest.
func vague(t string) bool {
	switch t {
	case "", "application/json", "application/octet-stream", "text/plain", "text/html":
		return true
	}
	return false
}

// nonDistributable reports whether the owner of a layer wants it kept out of registries. A layer without a URL does not
// count: no other place has it, and the registry may have it.
func nonDistributable(d Descriptor) bool {
	return len(d.URLs) > 0 && (strings.Contains(d.MediaType, "nondistributable") || strings.Contains(d.MediaType, ".foreign."))
}

// MustBeBlob reports whether the media type is certainly one of layers or configs.
func (d Descriptor) MustBeBlob() bool { return isBlob(d.MediaType) }

// MustBeManifest reports whether the media type is certainly one of manifests or indexes.
func (d Descriptor) MustBeManifest() bool { return isManifest(d.MediaType) }
