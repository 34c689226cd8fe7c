package main

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"os"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// base are the files of every image: who runs it, the licence, and directories to mount things on. A container with a
// read-only root has no other place for temporary files than what is mounted on /tmp.
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

// authorities is where Go's crypto/x509 looks first.
const authorities = "etc/ssl/certs/ca-certificates.crt"

// certificates are Mozilla's authorities for TLS, as pinned in go.mod. An authority that Mozilla trusts for
// certificates of before some date only is among them, as in Debian's ca-certificates: a file cannot say more.
func certificates(at time.Time) file {
	var text bytes.Buffer
	for root := range bundle.Roots() {
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // a buffer takes everything
	}
	return file{name: authorities, mode: 0o644, at: at, data: text.Bytes()}
}
