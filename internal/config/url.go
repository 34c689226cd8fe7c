package config

import (
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// urlRule is what a key demands of its URL beyond having a valid host and no secret.
type urlRule struct {
	digest   bool // {digest} exactly once, in the path
	root     bool // scheme and host only
	query    bool // a query is fine
	page     bool // for people: http and fragments are fine
	insecure bool // the stanza says insecure: true
}

const digestMark = "{digest}"

// secretParameters are query parameters that carry credentials: signed URLs of S3, GCS and Azure, and keys.
var secretParameters = []string{
	"x-amz-signature", "x-amz-credential", "x-amz-security-token", "x-goog-signature", "x-goog-credential",
	"sig", "signature", "token", "access_token", "key", "apikey", "api_key", "license_key", "password", "secret",
}

// url reports whatever is wrong with raw and returns nil then. Messages never repeat the URL: it may hold a secret.
func (v *validator) url(path, raw string, rule urlRule) *url.URL {
	before := len(v.faults)
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		v.fail(path, "", "the URL is empty")
		return nil
	case strings.TrimSpace(raw) != raw || strings.ContainsAny(raw, " \t\r\n"):
		v.fail(path, "", "the URL contains white space")
		return nil
	case err != nil:
		v.fail(path, "write https://host/path", "not a URL")
		return nil
	case u.Scheme == "http" && !rule.insecure && !rule.page:
		v.fail(path, "use https; `insecure: true` beside it permits http in tests and closed networks", "the URL has the scheme http: anyone on the network path can change what is sent")
	case u.Scheme != "https" && u.Scheme != "http":
		v.fail(path, "write https://host/path", "the URL's scheme is not https")
		return nil
	}
	if u.User != nil {
		v.fail(path, "do not put secrets in this file; the programs read stores and upstreams without credentials", "the URL contains a user name or password")
	}
	if !validHost(u) {
		v.fail(path, "write https://host/path", "the URL has no valid host")
	}
	for name := range u.Query() {
		for _, s := range secretParameters {
			if strings.EqualFold(name, s) {
				v.fail(path, "do not put secrets in this file", "the URL contains a credential, the parameter %q", name)
			}
		}
	}
	v.urlParts(path, raw, u, rule)
	if len(v.faults) > before {
		return nil
	}
	return u
}

func (v *validator) urlParts(path, raw string, u *url.URL, rule urlRule) {
	if rule.page {
		return
	}
	if strings.Contains(raw, "#") {
		v.fail(path, "remove everything from the # on", "the URL has a fragment, which is never sent")
	}
	if u.RawQuery != "" && !rule.query || strings.HasSuffix(raw, "?") {
		v.fail(path, "", "the URL has a query, which redirects do not carry")
	}
	marks := strings.Count(raw, digestMark)
	inPath := strings.Count(u.Path, digestMark)
	rest := strings.ReplaceAll(rawPath(raw), digestMark, "")
	switch {
	case rule.digest && marks == 0:
		v.fail(path, "such as https://bucket.example/containers/images/{digest}", "the URL has no %s", digestMark)
	case rule.digest && marks > 1:
		v.fail(path, "", "the URL has %s %d times, it must have it once", digestMark, marks)
	case rule.digest && inPath != 1:
		v.fail(path, "such as https://bucket.example/containers/images/{digest}", "the URL has %s outside of its path", digestMark)
	case !rule.digest && marks > 0:
		v.fail(path, "", "the URL has %s, which has no meaning here", digestMark)
	}
	if strings.ContainsAny(rest, "{}") {
		v.fail(path, "", "the URL has braces: the only placeholder is %s", digestMark)
	} else if !plainPath.MatchString(rest) {
		v.fail(path, "use letters, digits and . _ ~ : @ = , - only", "the URL's path needs escaping")
	}
	for part := range strings.SplitSeq(u.Path, "/") {
		if part == "." || part == ".." {
			v.fail(path, "", "the URL's path has the segment %q", part)
			break
		}
	}
	if rule.root && strings.Trim(u.Path, "/") != "" {
		v.fail(path, "write what follows the host as `prefix: "+strings.Trim(u.Path, "/")+"`", "the URL has a path")
	}
}

// plainPath needs no escaping anywhere: stores and clients disagree about what %2F and + mean.
var plainPath = regexp.MustCompile(`^[A-Za-z0-9._~:/@=,-]*$`)

// rawPath is the path as it was written: after the host, before query and fragment.
func rawPath(raw string) string {
	_, rest, _ := strings.Cut(raw, "://")
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		rest = rest[:i]
	}
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		return rest[i:]
	}
	return ""
}

var label = regexp.MustCompile(`^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)

func validHost(u *url.URL) bool {
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return false
		}
	} else if strings.HasSuffix(u.Host, ":") {
		return false
	}
	host := u.Hostname()
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Zone() == ""
	}
	if host == "" || len(host) > 253 {
		return false
	}
	for l := range strings.SplitSeq(host, ".") {
		if !label.MatchString(l) {
			return false
		}
	}
	return true
}

var regionHosts = []struct {
	cloud string
	host  *regexp.Regexp
}{
	{"aws", regexp.MustCompile(`(?:^|\.)s3[.-](?:dualstack\.)?([a-z]{2}-[a-z-]+-\d)\.amazonaws\.com(?:\.cn)?$`)},
	{"gcp", regexp.MustCompile(`^([a-z]+-[a-z]+\d+)-docker\.pkg\.dev$`)},
}

// HostRegion is the region that the host name of a provider tells; "" means that it tells none.
func HostRegion(host string) (cloud, region string) {
	for _, r := range regionHosts {
		if m := r.host.FindStringSubmatch(strings.ToLower(host)); m != nil {
			return r.cloud, m[1]
		}
	}
	return "", ""
}

var ipv4OnlyS3 = regexp.MustCompile(`(?:^|\.)s3[.-][a-z]{2}-[a-z-]+-\d\.amazonaws\.com(?:\.cn)?$`)
