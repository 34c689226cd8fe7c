package address

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// Amazon reports whether an S3 bucket belongs to Amazon's own service, at any of its endpoints.
func (b Bucket) Amazon() bool {
	if b.Endpoint == "" {
		return b.Scheme == "s3"
	}
	u, err := url.Parse(b.Endpoint)
	if err != nil {
		return false
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".cn")
	return strings.HasSuffix(host, ".amazonaws.com") || strings.HasSuffix(host, ".api.aws")
}

// AzureEndpoint returns the address of an account of Azure's own service.
func AzureEndpoint(account string) string { return "https://" + account + ".blob.core.windows.net" }

// googleEndpoint is where anonymous clients read buckets of Google's own service.
const googleEndpoint = "https://storage.googleapis.com"

// Public returns the URL below which anonymous clients read the bucket's objects. It ends in "/". The error says why
// the bucket has no such URL, or why the bucket's URL does not tell it.
func (b Bucket) Public() (string, error) {
	endpoint := b.Endpoint
	var path string // below the endpoint
	switch b.Scheme {
	case "gs":
		path = b.Name + "/"
		if endpoint == "" {
			endpoint = googleEndpoint
		}
	case "azblob":
		path = b.Container + "/"
		if endpoint == "" {
			endpoint = AzureEndpoint(b.Name)
		}
	case "s3":
		return b.publicS3()
	default:
		return "", fmt.Errorf("bucket %q: clients cannot read a directory: it has no URL", b.text)
	}
	return endpoint + "/" + path + b.Prefix, nil
}

// hostLabel is the name of a bucket that can stand before the host of S3. A name with dots does not fit the wildcard
// certificates.
var hostLabel = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{1,61}[a-z0-9])$`)

// region is the name of a region of Amazon. otherHosts are those in partitions whose hosts do not end in amazonaws.com.
var (
	region     = regexp.MustCompile(`^[a-z0-9-]+$`)
	otherHosts = regexp.MustCompile(`^(?:[a-z]+-iso[a-z]?|eusc)-`)
)

func (b Bucket) publicS3() (string, error) {
	endpoint := b.Endpoint
	if endpoint == "" {
		if b.Region == "" {
			return "", fmt.Errorf("bucket %q: the URL has no region: add ?region=…", b.text)
		}
		if !region.MatchString(b.Region) || otherHosts.MatchString(b.Region) { // it becomes a part of the host
			return "", fmt.Errorf("bucket %q: %.40q is no region whose hosts are known", b.text, b.Region)
		}
		endpoint = "https://s3.dualstack." + b.Region + ".amazonaws.com" // IPv4 and IPv6
		if strings.HasPrefix(b.Region, "cn-") {
			endpoint += ".cn"
		}
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("bucket %q: endpoint: want https://HOST", b.text)
	}
	if strings.HasSuffix(strings.ToLower(u.Hostname()), ".r2.cloudflarestorage.com") {
		return "", fmt.Errorf("bucket %q: Cloudflare serves a bucket to anonymous clients only under a domain of yours", b.text)
	}
	_, ip := netip.ParseAddr(u.Hostname())
	if b.PathStyle || ip == nil || !hostLabel.MatchString(b.Name) {
		return endpoint + "/" + b.Name + "/" + b.Prefix, nil
	}
	u.Host = b.Name + "." + host(u)
	return u.String() + "/" + b.Prefix, nil
}

// host returns the host of u, with its port.
func host(u *url.URL) string {
	if u.Port() == "" {
		return u.Hostname()
	}
	return net.JoinHostPort(u.Hostname(), u.Port())
}
