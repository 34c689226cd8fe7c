package judge

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"ociproxy/internal/oci"
	"ociproxy/internal/strictjson"
)

// MaxManifest is the largest manifest that is read, in bytes: the limit of the proxy's own relay.
const MaxManifest = 8 << 20

const HintDigest = "a registry that changes manifests on the way cannot be used: runtimes check the digest"

// Ref names an image as a client does: the name without the upstream's prefix, then a tag or digest.
type Ref struct {
	Name   string
	Tag    string
	Digest oci.Digest
}

// ParseRef reads NAME, NAME:TAG or NAME@DIGEST. tag stays empty when there is no tag.
func ParseRef(s string) (Ref, error) {
	if name, digest, found := strings.Cut(s, "@"); found {
		d, err := oci.ParseDigest(digest)
		if err != nil || !oci.ValidName(name) {
			return Ref{}, fmt.Errorf("image %q: want NAME[:TAG] or NAME@DIGEST, without a host", s)
		}
		return Ref{Name: name, Digest: d}, nil
	}
	name, tag, tagged := strings.Cut(s, ":")
	if !oci.ValidName(name) || tagged && !oci.ValidTag(tag) {
		return Ref{}, fmt.Errorf("image %q: want NAME[:TAG] or NAME@DIGEST, without a host", s)
	}
	return Ref{Name: name, Tag: tag}, nil
}

// Reference returns the last segment of the manifest's path.
func (r Ref) Reference() string {
	if !r.Digest.IsZero() {
		return r.Digest.String()
	}
	return r.Tag
}

func (r Ref) String() string {
	if !r.Digest.IsZero() {
		return r.Name + "@" + r.Digest.String()
	}
	return r.Name + ":" + r.Tag
}

// Accept is the Accept header that the proxy's own checks send too: every manifest type in use.
const Accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, " +
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

// Document is either an image manifest or an index.
type Document struct {
	SchemaVersion int          `json:"schemaVersion"`
	Manifests     []descriptor `json:"manifests"`
	Config        *descriptor  `json:"config"`
	Layers        []descriptor `json:"layers"`
}

// maxDescriptors is how many layers or children a manifest may have. Images have at most some hundred; beyond thousands,
// whoever wrote it wants to waste our time.
const maxDescriptors = 5000

var errNoManifest = errors.New("neither an image manifest nor an index")

// ParseManifest reads an image manifest or index. Docker's schema 1 is neither.
func ParseManifest(body []byte) (Document, error) {
	var d Document
	if err := strictjson.Unmarshal(body, &d, strictjson.Bounds{Bytes: MaxManifest}); err != nil {
		return d, errNoManifest
	}
	if len(d.Layers) > maxDescriptors || len(d.Manifests) > maxDescriptors {
		return Document{}, fmt.Errorf("more than %d layers or manifests in one manifest", maxDescriptors)
	}
	if d.SchemaVersion != 2 || len(d.Manifests) == 0 && d.Config == nil {
		return d, errNoManifest
	}
	return d, nil
}

// Child picks the manifest of an index to continue with: linux/amd64 if there is one, otherwise the first.
func (d Document) Child() (oci.Digest, error) {
	pick := d.Manifests[0]
	for _, m := range d.Manifests {
		if m.Platform.OS == "linux" && m.Platform.Architecture == "amd64" {
			pick = m
			break
		}
	}
	return oci.ParseDigest(pick.Digest)
}

// Blobs lists the config and the layers that stores may hold, smallest first, each of them once. It leaves out foreign
// layers, which live elsewhere.
func (d Document) Blobs() []Blob {
	var out []Blob
	seen := map[Blob]bool{}
	for _, desc := range append([]descriptor{*d.Config}, d.Layers...) {
		dig, err := oci.ParseDigest(desc.Digest)
		if err != nil || !dig.InStores() || len(desc.URLs) > 0 || desc.Size <= 0 {
			continue
		}
		b := Blob{dig, desc.Size}
		if !seen[b] {
			seen[b] = true
			out = append(out, b)
		}
	}
	slices.SortStableFunc(out, func(a, b Blob) int { return cmp.Compare(a.Size, b.Size) })
	return out
}

// ManifestHead judges the answer to a HEAD of a manifest. Runtimes get the digest of a tag from it.
func ManifestHead(ans Answer, want oci.Digest) Verdict {
	if v, bad := Trouble(ans); bad {
		return v
	}
	switch got := ans.Header.Get("Docker-Content-Digest"); {
	case ans.Status != http.StatusOK:
		return Verdict{Failed, fmt.Sprintf("HEAD answers %d for a manifest that GET gives", ans.Status), hintMethod}
	case got == "":
		return Verdict{Warning, "no Docker-Content-Digest", "runtimes then read each manifest twice: have the registry send the header"}
	case !want.IsZero() && got != want.String():
		return Verdict{Failed, "Docker-Content-Digest names another manifest", HintDigest}
	}
	return Good("200")
}
