package proxy

import (
	"crypto/tls"
	"fmt"

	"ociproxy/internal/config"
)

// certificate is the public port's certificate, as loaded with one configuration.
type certificate struct{ cert *tls.Certificate }

func loadCertificate(t config.TLS) (*certificate, error) {
	cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("tls.cert %s with tls.key %s: %w", t.Cert, t.Key, err)
	}
	return &certificate{&cert}, nil
}

func minTLS(v config.TLSVersion) uint16 {
	if v == "1.3" {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}
