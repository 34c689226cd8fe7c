package manifest

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"ociproxy/internal/oci"
)

// checkRegistry says what is wrong with the name of a registry: host[:port] and perhaps the beginning of a repository's name.
func checkRegistry(name string) (hint string, err error) {
	const form = "write host/path, such as us-docker.pkg.dev/project/images"
	if name == "" {
		return form, errors.New("the registry has an empty name")
	}
	if at := strings.Index(name, "://"); at >= 0 {
		return "write " + name[at+3:], errors.New("a registry's name has no scheme")
	}
	if strings.HasSuffix(name, "/") {
		return "write " + strings.TrimRight(name, "/"), errors.New("a registry's name does not end in a slash")
	}
	host, path, nested := strings.Cut(name, "/")
	if !validHost(host) {
		return form, errors.New("expected a registry, found " + strconv.Quote(shorten(name)) + ": it does not begin with a host")
	}
	if nested && !oci.ValidName(path) {
		return "a path has lower-case letters and digits, with . _ - between them", errors.New("expected a registry, found " + strconv.Quote(shorten(name)) + ": its path is not a repository name")
	}
	return "", nil
}

// validHost: a DNS name with a dot, or localhost, or anything with a port; an address.
func validHost(s string) bool {
	var host, port string
	var hasPort bool
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return false
		}
		a, err := netip.ParseAddr(s[1:end])
		if err != nil || !a.Is6() || a.Zone() != "" {
			return false
		}
		if s[end+1:] == "" {
			return true
		}
		host, port, hasPort = "localhost", strings.TrimPrefix(s[end+1:], ":"), s[end+1] == ':'
		if !hasPort {
			return false
		}
	} else {
		host, port, hasPort = strings.Cut(s, ":")
	}
	if hasPort {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
	}
	if len(host) > 253 || !hasPort && host != "localhost" && !strings.Contains(host, ".") {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
				return false
			}
		}
	}
	return true
}

// checkDigest: stores hold sha256 and sha512 only, so nothing else can be promoted.
func checkDigest(s string) (oci.Digest, string, error) {
	d, err := oci.ParseDigest(s)
	if err != nil || !d.InStores() {
		return oci.Digest{}, "a digest is sha256: and 64 lower-case hexadecimal digits", errors.New("expected a digest, found " + strconv.Quote(shorten(s)))
	}
	return d, "", nil
}

// ValidRegistry reports whether a name is that of a registry: host[:port], and perhaps the beginning of a repository's name.
func ValidRegistry(name string) bool {
	_, err := checkRegistry(name)
	return err == nil
}
