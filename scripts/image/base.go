package main

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"os"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// base returns the files that every image has: the users, the licence, and directories for mounts. A container with a
// read-only root can write temporary files only to a mount at /tmp.
func base(license string, at time.Time) ([]file, error) {
	text, err := os.ReadFile(license)
	if err != nil {
		return nil, err
	}
	return []file{
		{name: "etc/passwd", mode: 0o644, at: at, data: fmt.Appendf(nil,
			"root:x:0:0:root:/:/sbin/nologin\nnonroot:x:%[1]d:%[1]d:nonroot:/home/nonroot:/sbin/nologin\n", user)},
		{name: "etc/group", mode: 0o644, at: at, data: fmt.Appendf(nil, "root:x:0:\nnonroot:x:%d:\n", user)},
		{name: "etc/oci-proxy/", mode: 0o755, at: at},
		{name: "home/nonroot/", mode: 0o755, own: true, at: at},
		{name: "licenses/LICENSE", mode: 0o644, at: at, data: text},
		{name: "tmp/", mode: 0o1777, at: at},
	}, nil
}

// authorities is the file where Go's crypto/x509 looks first.
const authorities = "etc/ssl/certs/ca-certificates.crt"

// certificates returns Mozilla's authorities for TLS, as pinned in go.mod. Mozilla trusts some authorities only for
// certificates from before a certain date. They are included too, as in Debian's ca-certificates, because a file cannot
// express that date.
func certificates(at time.Time) file {
	var text bytes.Buffer
	for root := range bundle.Roots() {
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // a buffer takes everything
	}
	return file{name: authorities, mode: 0o644, at: at, data: text.Bytes()}
}
