package outbound

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// CAVariable is the environment variable that names a file of certificates in PEM. Their authorities are trusted in
// addition to those of the system. The name is Amazon's; in this program the variable applies to every connection.
const CAVariable = "AWS_CA_BUNDLE"

// Roots returns the trusted authorities for the certificates of servers: those of the system and those of [CAVariable].
// crypto/x509 replaces the authorities of the system by those of SSL_CERT_FILE and SSL_CERT_DIR when these are set. nil
// means that there are only the authorities of the system.
func Roots() (*x509.CertPool, error) {
	file := os.Getenv(CAVariable)
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, environmentError{fmt.Errorf("%s: %w", CAVariable, err)}
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // the system has none
	}
	if !roots.AppendCertsFromPEM(text) {
		return nil, environmentError{fmt.Errorf("%s: %s has no certificate in PEM", CAVariable, file)}
	}
	return roots, nil
}

// EnvironmentFaults returns the faults of the environment variables that name trusted authorities. Each fault has the
// name of the variable and the file that it names. A program reports the faults when it starts, because later requests
// fail for these reasons. Of several directories, it is enough that one works.
func EnvironmentFaults() []error {
	var faults []error
	if _, err := Roots(); err != nil {
		faults = append(faults, err)
	}
	if err := badRoots(); err != nil {
		faults = append(faults, err)
	}
	return faults
}

// crypto/x509 reads these variables where it does not ask the system, and ignores them when they lead to no
// certificates.
const (
	fileVariable = "SSL_CERT_FILE"
	dirVariable  = "SSL_CERT_DIR"
)

// badRoots returns the fault of a variable that names the system's authorities but leads to none; nil when both are
// right.
func badRoots() error {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return nil
	}
	if file := os.Getenv(fileVariable); file != "" {
		if err := certificates(file); err != nil {
			return fmt.Errorf("%s: %w", fileVariable, err)
		}
	}
	dirs := os.Getenv(dirVariable)
	if dirs == "" {
		return nil
	}
	first := error(nil)
	for _, dir := range filepath.SplitList(dirs) {
		entries, err := os.ReadDir(dir)
		for _, e := range entries {
			if !e.IsDir() && certificates(filepath.Join(dir, e.Name())) == nil {
				return nil
			}
		}
		if first == nil {
			first = cmp.Or(err, fmt.Errorf("%s has no file with a certificate in PEM", dir))
		}
	}
	return fmt.Errorf("%s: %w", dirVariable, first)
}

// certificates makes sure that a file has a certificate.
func certificates(file string) error {
	text, err := os.ReadFile(file) //nolint:gosec // the environment names it
	if err != nil {
		return err
	}
	if !x509.NewCertPool().AppendCertsFromPEM(text) {
		return fmt.Errorf("%s has no certificate in PEM", file)
	}
	return nil
}

// fromEnvironment finds the proxy as net/http does. Tests replace it, because net/http reads the environment only once.
var fromEnvironment = http.ProxyFromEnvironment

// proxy finds the proxy of a request in the environment, as [http.ProxyFromEnvironment] does: HTTPS_PROXY, HTTP_PROXY
// and NO_PROXY, also in lower case. User and password are part of the proxy's URL. Requests to this machine, and to
// link-local addresses such as those of cloud metadata servers, never use a proxy. net/http ignores a variable that it
// cannot parse. Here, such a variable makes each request that it applies to fail: without the proxy, the request would
// leave by an unintended way. The error does not contain the variable's text, which may have a password.
func proxy() func(*http.Request) (*url.URL, error) {
	bad := map[string]error{"https": badProxy("HTTPS_PROXY", "https_proxy"), "http": badProxy("HTTP_PROXY", "http_proxy")}
	return func(r *http.Request) (*url.URL, error) {
		if a, err := netip.ParseAddr(r.URL.Hostname()); err == nil && (a.IsLinkLocalUnicast() || a == awsMetadata6) {
			return nil, nil
		}
		if err := bad[r.URL.Scheme]; err != nil && !Loopback(r.URL.Host) {
			return nil, err
		}
		found, err := fromEnvironment(r)
		if w, ok := r.Context().Value(wayKey{}).(*way); ok && found != nil {
			w.proxy.Store(&found.Host)
		}
		return found, err
	}
}

// awsMetadata6 is where EC2 serves metadata over IPv6. Like a link-local address, it does not lead off the machine.
var awsMetadata6 = netip.MustParseAddr("fd00:ec2::254")

// environmentError is the fault of an environment variable: no request can be made in the way that it asks for.
type environmentError struct{ error }

func (e environmentError) Unwrap() error { return e.error }

var errProxy = errors.New("want http://[USER:PASSWORD@]HOST:PORT (https and socks5 are known too), special characters of user " +
	"and password written as %XX")

// badProxy returns the fault of the first variable of names that is set, read as net/http reads it.
func badProxy(names ...string) error {
	for _, name := range names {
		text := os.Getenv(name)
		if text == "" {
			continue
		}
		if !strings.Contains(text, "://") {
			text = "http://" + text
		}
		u, err := url.Parse(text)
		// An @ after the host: the password has a character that ends the host, and "host" is the beginning of the secret.
		if err != nil || u.Hostname() == "" || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) ||
			strings.Contains(u.Path+u.RawQuery+u.Fragment, "@") {
			return environmentError{fmt.Errorf("the environment's %s: %w", name, errProxy)}
		}
		return nil
	}
	return nil
}
