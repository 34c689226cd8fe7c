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

// CAVariable names a file of certificates in PEM whose authorities are trusted beside the system's. It is Amazon's name for it;
// here it counts for every connection.
const CAVariable = "AWS_CA_BUNDLE"

// Roots are the authorities that servers' certificates may be of: the system's, in whose place crypto/x509 takes those of
// SSL_CERT_FILE and SSL_CERT_DIR, and those of [CAVariable]. nil means that there are no more than the system's.
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
		roots = x509.NewCertPool() // a system that has none
	}
	if !roots.AppendCertsFromPEM(text) {
		return nil, environmentError{fmt.Errorf("%s: %s has no certificate in PEM", CAVariable, file)}
	}
	return roots, nil
}

// EnvironmentFaults are what is wrong with the variables of the environment that say which authorities are trusted, each with its name
// and the file that it names. A program tells them when it starts: what is asked later fails for their sake, or, of a directory
// more than one, nothing does.
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

// The variables that crypto/x509 reads where it does not ask the system, and ignores where they lead to nothing.
const (
	fileVariable = "SSL_CERT_FILE"
	dirVariable  = "SSL_CERT_DIR"
)

// badRoots says which of the variables that name the system's authorities names none, nil when both are right.
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

// certificates makes sure that a file has one.
func certificates(file string) error {
	text, err := os.ReadFile(file) //nolint:gosec // what the environment names
	if err != nil {
		return err
	}
	if !x509.NewCertPool().AppendCertsFromPEM(text) {
		return fmt.Errorf("%s has no certificate in PEM", file)
	}
	return nil
}

// fromEnvironment is what net/http finds; tests put another in its place, since it reads the environment once.
var fromEnvironment = http.ProxyFromEnvironment

// proxy finds the proxy of a request in the environment, as [http.ProxyFromEnvironment] does: HTTPS_PROXY, HTTP_PROXY and NO_PROXY, also in
// lower case. User and password are part of the proxy's URL. This machine itself, and link-local addresses, which are those of
// clouds' metadata servers, are never asked through one. A variable that cannot be understood, which net/http takes for none,
// fails each request that it is for: without the proxy it would leave by another way than was meant. Its text is in no
// error: it may have a password.
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

// awsMetadata6 is where EC2 serves metadata over IPv6; like a link-local address it ends at the machine.
var awsMetadata6 = netip.MustParseAddr("fd00:ec2::254")

// environmentError is what is wrong with a variable of the environment: no request can be made as it asks.
type environmentError struct{ error }

func (e environmentError) Unwrap() error { return e.error }

var errProxy = errors.New("want http://[USER:PASSWORD@]HOST:PORT (https and socks5 are known too), special characters of user " +
	"and password written as %XX")

// badProxy says what is wrong with the first variable of names that is set, read as net/http reads it.
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
		if err != nil || u.Hostname() == "" || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) {
			return environmentError{fmt.Errorf("the environment's %s: %w", name, errProxy)}
		}
		return nil
	}
	return nil
}
