// Package usable finds out whether a server can use a config whose text is valid.
//
// It knows what serve builds from a config, and the files that a config names. It must not know how faults are shown.
package usable

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"ociproxy/internal/clientip"
	"ociproxy/internal/config"
	"ociproxy/internal/endpoints"
	"ociproxy/internal/route"
	"ociproxy/internal/snapshot"
)

// Check builds what serve builds from a config whose text is valid. If files is true, it also opens the files that
// the config names. It returns the routing. The error is a *config.Errors.
func Check(cfg *config.Config, files bool) (*route.Snapshot, error) {
	u := use{cfg: cfg}
	if _, err := clientip.New(cfg.Client.Rule()); err != nil {
		u.fault("client.behind", "", err)
	}
	now := cfg.At(time.Now())
	routing := *now
	routing.Route.Latency = ""
	snap, err := snapshot.Of(&routing)
	if err != nil {
		u.fault("", "", err)
	} else if files && cfg.Route.Latency != "" {
		if snap, err = snapshot.Of(now); err != nil {
			u.fault("route.latency", "each line is from,to,ms, such as aws/us-east-1,gcp/us-east4,3.5", err)
		}
	}
	if files {
		u.certificate()
		u.signedList()
		u.readable("ranges.geoip.city", cfg.Ranges.GeoIP.City)
		u.readable("ranges.geoip.asn", cfg.Ranges.GeoIP.ASN)
	}
	if len(u.faults) == 0 {
		return snap, nil
	}
	slices.SortStableFunc(u.faults, func(a, b *config.Error) int { return cmp.Compare(a.Line, b.Line) })
	return nil, &config.Errors{List: u.faults}
}

// use collects what is wrong with a config in use and with the files that it names.
type use struct {
	cfg    *config.Config
	faults []*config.Error
}

func (u *use) fault(path, hint string, err error) {
	text := err.Error()
	for _, known := range []string{path + ": ", "tls: "} { // the fault's path says this already
		text = strings.TrimPrefix(text, known)
	}
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		hint = "check opens the files that serve will open; --no-files leaves them out where they are not at hand"
	}
	u.faults = append(u.faults, u.cfg.Fault(path, hint, "%s", text))
}

func (u *use) certificate() {
	t := u.cfg.TLS
	if !t.Enabled() {
		return
	}
	cert, certOK := u.read("tls.cert", t.Cert)
	key, keyOK := u.read("tls.key", t.Key)
	if !certOK || !keyOK {
		return
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		u.fault("tls", "cert is the PEM chain, the server's own certificate first; key is its private key", err)
	}
}

func (u *use) signedList() {
	if u.cfg.Endpoints.Signed == "" {
		return
	}
	text, ok := u.read("endpoints.signed", u.cfg.Endpoints.Signed)
	if !ok {
		return
	}
	if err := endpoints.Envelope(text); err != nil {
		u.fault("endpoints.signed", "name a DSSE envelope in JSON", err)
	}
}

func (u *use) read(path, file string) ([]byte, bool) {
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() { // first: to open a pipe could wait forever
		u.fault(path, "", fmt.Errorf("%s is not a regular file", file))
		return nil, false
	}
	data, err := os.ReadFile(file)
	if err != nil {
		u.fault(path, "", err)
	}
	return data, err == nil
}

// readable reports a file that cannot be opened or is not a regular file. It does not read it, because it may be
// large.
func (u *use) readable(path, file string) {
	if file == "" {
		return
	}
	f, err := os.Open(file)
	if err != nil {
		u.fault(path, "", err)
		return
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		u.fault(path, "name an mmdb file", fmt.Errorf("%s is not a regular file", file))
	}
}
