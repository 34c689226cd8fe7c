package doctor

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"
	"time"

	"ociproxy/internal/cli"
)

// inspecting is the configuration of a handshake with a server of any certificate. Nothing is sent to the server but one
// request that anybody may read, and nothing is believed that it answers: [doctor.judge] looks at the certificate.
func (d *doctor) inspecting(name string) *tls.Config {
	return &tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}, RootCAs: d.opt.Roots} //nolint:gosec // see above
}

// judge notes what the certificate of a server says, and reports whether clients take it.
func (d *doctor) judge(t *Try, state *tls.ConnectionState, name string) bool {
	if len(state.PeerCertificates) == 0 {
		t.Fault, t.Detail = untrusted, "no certificate"
		return false
	}
	leaf := state.PeerCertificates[0]
	t.Issuer = issuer(leaf)
	t.Expires = leaf.NotAfter
	t.Public = logged(leaf) || len(state.SignedCertificateTimestamps) > 0
	now := time.Now()
	err := d.verify(state, name, now)
	var (
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
	)
	switch {
	case err == nil:
		return true
	case errors.As(err, &hostname):
		t.Fault, t.names = wrongName, series(first(leaf.DNSNames, 3))
		t.Detail = "TLS: the certificate is for " + cmp.Or(t.names, "no name") + ", by " + t.Issuer
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		t.Fault, t.expired = badTime, now.After(leaf.NotAfter)
		t.ours = t.Dated && d.verify(state, name, now.Add(t.Skew)) == nil
		t.Detail = fmt.Sprintf("TLS: the certificate is valid from %s to %s", day(leaf.NotBefore), day(leaf.NotAfter))
	default:
		t.Fault, t.Detail = untrusted, fmt.Sprintf("TLS: the authority %q is not trusted", t.Issuer)
	}
	return false
}

func (d *doctor) verify(state *tls.ConnectionState, name string, at time.Time) error {
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
		DNSName: name, Roots: d.opt.Roots, Intermediates: between, CurrentTime: at,
	})
	return err
}

// issuer is the name of an authority as people know it. The text is from a server.
func issuer(c *x509.Certificate) string {
	name := c.Issuer.CommonName
	if len(c.Issuer.Organization) > 0 && !strings.Contains(name, c.Issuer.Organization[0]) {
		name = strings.TrimSpace(c.Issuer.Organization[0] + " " + name)
	}
	name = strings.Map(func(r rune) rune {
		if r == '"' || r == '\'' {
			return -1
		}
		return r
	}, cli.OneLine(name))
	return cmp.Or(string(first([]rune(name), 80)), "an authority without a name")
}

// timestamps is the extension by which a certificate shows that logs of Certificate Transparency have it (RFC 6962,
// 3.3). Browsers demand it of public authorities. An authority of a company or of an interceptor has no logs.
var timestamps = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}

func logged(c *x509.Certificate) bool {
	for _, e := range c.Extensions {
		if e.Id.Equal(timestamps) {
			return true
		}
	}
	return false
}

// certificate is the part of a row about TLS.
func (t *Try) certificate() string {
	if t.Issuer == "" {
		return ""
	}
	kind := "private authority"
	if t.Public {
		kind = "public"
	}
	return fmt.Sprintf(", TLS by %q (%s) until %s", t.Issuer, kind, day(t.Expires))
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
