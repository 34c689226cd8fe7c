package doctor

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/outbound"
)

// Target is a registry, and an image in it when one is given.
type Target struct {
	Registry string // as people write it: a name, with the port unless it is the default
	Plain    bool   // plain HTTP
	Image    judge.Ref
}

// ParseTarget reads NAME, NAME:PORT or NAME/REPOSITORY[:TAG|@DIGEST]. `http://` before the name means plain HTTP, and
// `https://` means TLS. With neither, it is TLS, except for this machine, where registries have no certificates.
func ParseTarget(text string) (Target, error) {
	var t Target
	rest, plain := strings.CutPrefix(text, "http://")
	secure := false
	if !plain {
		rest, secure = strings.CutPrefix(rest, "https://")
	}
	registry, image, found := strings.Cut(strings.TrimSuffix(rest, "/"), "/")
	t.Registry = strings.ToLower(registry)
	t.Plain = plain || !secure && outbound.Loopback(t.Registry)
	if host, port, err := net.SplitHostPort(t.Registry); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
			return t, fmt.Errorf("port %q: want a number between 1 and 65535", port)
		}
	}
	if u, err := url.Parse(t.base()); err != nil || u.Host != t.Registry || !validHost(u.Hostname()) {
		return t, fmt.Errorf("registry %q: want a name such as registry.example.org", registry)
	}
	if !found {
		return t, nil
	}
	return t, t.SetImage(image)
}

// SetImage takes an image without the registry's name: REPOSITORY[:TAG|@DIGEST]. The tag is latest when there is none.
func (t *Target) SetImage(text string) (err error) {
	if t.Image, err = judge.ParseRef(text); err != nil {
		return err
	}
	if t.Image.Digest.IsZero() && t.Image.Tag == "" {
		t.Image.Tag = "latest"
	}
	return nil
}

func (t *Target) base() string {
	if t.Plain {
		return "http://" + t.Registry
	}
	return "https://" + t.Registry
}

func validHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return len(host) <= 253
}
