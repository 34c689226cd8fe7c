package check

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ociproxy/internal/oci"
	"ociproxy/internal/strictjson"
)

// ref names an image as a client does: the name without the upstream's prefix, then a tag or digest.
type ref struct {
	name   string
	tag    string
	digest oci.Digest
}

// parseRef reads NAME, NAME:TAG or NAME@DIGEST. tag stays empty when there is no tag.
func parseRef(s string) (ref, error) {
	if name, digest, found := strings.Cut(s, "@"); found {
		d, err := oci.ParseDigest(digest)
		if err != nil || !oci.ValidName(name) {
			return ref{}, fmt.Errorf("image %q: want NAME[:TAG] or NAME@DIGEST, without a host", s)
		}
		return ref{name: name, digest: d}, nil
	}
	name, tag, tagged := strings.Cut(s, ":")
	if !oci.ValidName(name) || tagged && !oci.ValidTag(tag) {
		return ref{}, fmt.Errorf("image %q: want NAME[:TAG] or NAME@DIGEST, without a host", s)
	}
	return ref{name: name, tag: tag}, nil
}

// reference returns the last segment of the manifest's path.
func (r ref) reference() string {
	if !r.digest.IsZero() {
		return r.digest.String()
	}
	return r.tag
}

func (r ref) String() string {
	if !r.digest.IsZero() {
		return r.name + "@" + r.digest.String()
	}
	return r.name + ":" + r.tag
}

// accept is the Accept header that the proxy's own checks send too: every manifest type in use.
const accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, " +
	"application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"

// descriptor is the part of an OCI descriptor that is needed here.
type descriptor struct {
	MediaType string   `json:"mediaType"`
	Digest    string   `json:"digest"`
	Size      int64    `json:"size"`
	URLs      []string `json:"urls"`
	Platform  struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
	} `json:"platform"`
}

// document is either an image manifest or an index.
type document struct {
	SchemaVersion int          `json:"schemaVersion"`
	Manifests     []descriptor `json:"manifests"`
	Config        *descriptor  `json:"config"`
	Layers        []descriptor `json:"layers"`
}

var errNoManifest = errors.New("neither an image manifest nor an index")

// parseManifest reads an image manifest or index. Docker's schema 1 is neither.
func parseManifest(body []byte) (document, error) {
	var d document
	if err := strictjson.Unmarshal(body, &d, strictjson.Bounds{Bytes: maxManifest}); err != nil {
		return d, errNoManifest
	}
	if d.SchemaVersion != 2 || len(d.Manifests) == 0 && d.Config == nil {
		return d, errNoManifest
	}
	return d, nil
}

// child picks the manifest of an index to continue with: linux/amd64 if there is one, otherwise the first.
func (d document) child() (oci.Digest, error) {
	pick := d.Manifests[0]
	for _, m := range d.Manifests {
		if m.Platform.OS == "linux" && m.Platform.Architecture == "amd64" {
			pick = m
			break
		}
	}
	return oci.ParseDigest(pick.Digest)
}

// blobs lists the config and the layers that stores may hold, smallest first, each of them once. It leaves out foreign
// layers, which live elsewhere.
func (d document) blobs() []blob {
	var out []blob
	for _, desc := range append([]descriptor{*d.Config}, d.Layers...) {
		dig, err := oci.ParseDigest(desc.Digest)
		if err != nil || !dig.InStores() || len(desc.URLs) > 0 || desc.Size <= 0 {
			continue
		}
		b := blob{dig, desc.Size}
		if !slices.Contains(out, b) {
			out = append(out, b)
		}
	}
	slices.SortStableFunc(out, func(a, b blob) int { return cmp.Compare(a.size, b.size) })
	return out
}
