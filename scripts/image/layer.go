package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
)

// user is the user that the programs run as: not root, and not an account of the host. Distroless images use the same
// number.
const user = 65532

// file is an entry of a layer. Root owns it, unless the user of the image must write there.
type file struct {
	name string // without a slash at the begin; the name of a directory ends in one
	mode int64
	own  bool // it belongs to the user of the image
	at   time.Time
	data []byte
}

// blob is content with its descriptor.
type blob struct {
	oci.Descriptor
	data []byte
}

func newBlob(mediaType string, data []byte) blob {
	return blob{oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}, data}
}

// layer is a packed set of files.
type layer struct {
	blob
	what string        // goes into the history of the image
	diff digest.Digest // of the tar archive
}

// newLayer packs files, and the directories above them that files does not have. The bytes depend only on the files and
// on at.
func newLayer(what string, at time.Time, files ...file) (layer, error) {
	known := map[string]bool{}
	for _, f := range files {
		known[f.name] = true
	}
	for _, f := range files {
		for dir := path.Dir(strings.TrimSuffix(f.name, "/")); dir != "."; dir = path.Dir(dir) {
			if !known[dir+"/"] {
				known[dir+"/"] = true
				files = append(files, file{name: dir + "/", mode: 0o755, at: at})
			}
		}
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(a.name, b.name) })
	var archive, packed bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range files {
		h := &tar.Header{
			Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.data)),
			ModTime: f.at.Truncate(time.Second), Format: tar.FormatUSTAR, // no field depends on who packs
		}
		if strings.HasSuffix(f.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if f.own {
			h.Uid, h.Gid = user, user
		}
		if err := w.WriteHeader(h); err != nil {
			return layer{}, fmt.Errorf("pack %s: %w", f.name, err)
		}
		if _, err := w.Write(f.data); err != nil {
			return layer{}, fmt.Errorf("pack %s: %w", f.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return layer{}, err
	}
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return layer{}, err
	}
	if _, err := z.Write(archive.Bytes()); err != nil {
		return layer{}, err
	}
	if err := z.Close(); err != nil {
		return layer{}, err
	}
	return layer{newBlob(oci.MediaTypeImageLayerGzip, packed.Bytes()), what, digest.FromBytes(archive.Bytes())}, nil
}
