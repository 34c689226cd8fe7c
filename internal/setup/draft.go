package setup

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"ociproxy/internal/check"
	"ociproxy/internal/cli"
	"ociproxy/internal/clientip"
	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/store/address"
)

// Draft is a config in the making. Each method that takes an answer checks it by the rules for the file, and changes
// the draft only if it is right. Its error is one of [cli.Usage], with a hint; it never repeats a URL, because a URL may
// hold a secret. Set the location first: other answers default to it. Only one goroutine may use a draft. [New] makes
// one.
type Draft struct {
	location   place.Place
	sites      []site // places that are not on the map, in the order of the answers
	registries []registry
	buckets    []bucket
	networks   []network
	images     []string
	front      string
	listen     string
	cache      string
	states     map[string]config.State // what the probe found out; nothing: filling
	lacks      map[string]string       // by store, the IP family of which the probe found no address
}

// site is a place that is not on the map.
type site struct {
	place.Place
	lat, lon float64
	country  string
	guessed  bool // the country is that of the nearest place on the map
}

// registry is an upstream. The first one is canonical.
type registry struct {
	name, url, prefix string
	place             place.Place
}

// bucket is a store.
type bucket struct {
	name, bucket string
	base         string // where clients read it; ends in "/"
	place        place.Place
	azure        bool
}

// network is a range of clients of the operator's own.
type network struct {
	cidr  netip.Prefix
	place place.Place
}

// ServiceCache is where the systemd units of the package let the server keep its copies.
const ServiceCache = "/var/cache/oci-proxy"

// New returns a draft that says nothing yet. cache is the directory for `ranges.cache`; "" means none.
func New(cache string) *Draft {
	return &Draft{front: "direct", listen: ":8080", cache: cache}
}

func (d *Draft) clone() *Draft {
	c := *d
	c.sites, c.registries, c.buckets = slices.Clone(d.sites), slices.Clone(d.registries), slices.Clone(d.buckets)
	c.networks, c.images = slices.Clone(d.networks), slices.Clone(d.images)
	return &c
}

// change makes a change of d that keeps it a valid config.
func (d *Draft) change(answer string, f func(*Draft) error) error {
	if strings.TrimSpace(answer) == "" {
		return cli.Usage("", "the answer is empty")
	}
	if !utf8.ValidString(answer) || strings.ContainsFunc(answer, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }) {
		return cli.Usage("write it without blanks", "the answer has a blank or a control character")
	}
	next := d.clone()
	if err := f(next); err != nil {
		return err
	}
	if _, err := next.parse("init"); err != nil {
		return refused(err)
	}
	*d = *next
	return nil
}

// refused is the first fault of a config as the answer to the person who caused it.
func refused(err error) error {
	if faults, ok := errors.AsType[*config.Errors](err); ok {
		return cli.Usage(faults.List[0].Hint, "%s", faults.List[0].Message)
	}
	return err
}

// SetLocation says where the instance runs.
func (d *Draft) SetLocation(answer string) error {
	return d.change(answer, func(d *Draft) (err error) {
		d.location, err = d.where(answer)
		return err
	})
}

// AddRegistry adds a registry, URL[@PLACE]. The first one is canonical.
func (d *Draft) AddRegistry(answer string) error {
	return d.change(answer, func(d *Draft) error {
		text, at := split(answer)
		u, err := web(text)
		if err != nil {
			return err
		}
		r := registry{url: u.Scheme + "://" + u.Host, prefix: strings.Trim(u.Path, "/"), place: d.location}
		if r.prefix == "v2" || strings.HasPrefix(r.prefix, "v2/") {
			return cli.Usage("leave out /v2: the path is what stands before the names of the repositories", "the path begins with /v2")
		}
		if u.RawQuery != "" || u.Fragment != "" {
			return cli.Usage("write https://HOST or https://HOST/PATH", "the URL has a query or a fragment")
		}
		if r.place, err = d.placeOf(at, func() place.Place { return d.hostPlace(u.Hostname()) }); err != nil {
			return err
		}
		r.name = "main"
		if len(d.registries) > 0 {
			r.name = d.free("replica-" + r.place.Region)
		}
		d.registries = append(d.registries, r)
		return nil
	})
}

// AddBucket adds a bucket, BUCKET[@PLACE].
func (d *Draft) AddBucket(answer string) error {
	return d.change(answer, func(d *Draft) error {
		text, at := split(answer)
		a, err := address.Parse(text)
		if err != nil {
			return cli.Usage("s3://NAME?region=…, gs://NAME or azblob://ACCOUNT/CONTAINER, without keys or passwords", "%w", err)
		}
		b := bucket{bucket: text, azure: a.Scheme == "azblob"}
		switch b.base, err = a.Public(); {
		case err != nil && a.Scheme == "s3" && a.Endpoint == "" && a.Region == "":
			return cli.Usage("for example s3://NAME?region=us-east-1", "%w", err)
		case err != nil:
			return cli.Usage("write such a store into the file by hand, with its `url`: examples/multicloud.yaml has some", "%w", err)
		}
		cloud := map[string]string{"s3": "aws", "gs": "gcp", "azblob": "azure"}[a.Scheme]
		own := a.Endpoint != "" && !a.Amazon() // somebody's own server, which may be anywhere
		b.place, err = d.placeOf(at, func() place.Place {
			switch {
			case own:
				return d.location
			case a.Region != "":
				return place.Place{Cloud: cloud, Region: a.Region}
			case d.location.Cloud == cloud:
				return d.location
			}
			return place.Place{}
		})
		if err != nil {
			return err
		}
		if b.place.IsZero() {
			return cli.Usage("add its place behind it: @"+cloud+"/REGION", "the URL of the bucket does not say in which region it is")
		}
		kind := map[string]string{"s3": "s3-", "gs": "gcs-", "azblob": "azure-"}[a.Scheme]
		b.name = d.free(kind + b.place.Region)
		d.buckets = append(d.buckets, b)
		return nil
	})
}

// SetFront says what stands in front of the server: the name of a preset.
func (d *Draft) SetFront(answer string) error {
	return d.change(answer, func(d *Draft) error {
		d.front = answer
		return nil
	})
}

// AddClients adds a range of addresses, CIDR=PLACE.
func (d *Draft) AddClients(answer string) error {
	return d.change(answer, func(d *Draft) error {
		text, at, ok := strings.Cut(answer, "=")
		cidr, err := netip.ParsePrefix(text)
		switch {
		case !ok || err != nil:
			return cli.Usage("CIDR=PLACE, for example 10.20.0.0/16=onprem/berlin", "%.60q is not CIDR=PLACE", answer)
		case cidr != cidr.Masked():
			return cli.Usage(fmt.Sprintf("write %s", cidr.Masked()), "the range %s has bits set beyond its prefix length", cidr)
		}
		p, err := d.where(at)
		if err != nil {
			return err
		}
		d.networks = append(d.networks, network{cidr, p})
		return nil
	})
}

// AddImage adds an image, NAME[:TAG] or NAME@DIGEST, without a host.
func (d *Draft) AddImage(answer string) error {
	return d.change(answer, func(d *Draft) error {
		if err := check.ValidImage(answer); err != nil {
			return cli.Usage("for example team/app:1.0", "%w", err)
		}
		if !slices.Contains(d.images, answer) {
			d.images = append(d.images, answer)
		}
		return nil
	})
}

// listenHost is what may stand before the port of an address to listen on: nothing, an IP address or a name.
var listenHost = regexp.MustCompile(`^[A-Za-z0-9.:-]*$`)

// SetListen sets the address of the clients' port.
func (d *Draft) SetListen(answer string) error {
	return d.change(answer, func(d *Draft) error {
		if host, _, err := net.SplitHostPort(answer); err == nil && !listenHost.MatchString(host) {
			return cli.Usage(`write ":8080" or "127.0.0.1:8080"`, "%.60q is not an address to listen on", answer)
		}
		d.listen = answer
		return nil
	})
}

// SetCache sets the directory of `ranges.cache`, an absolute path.
func (d *Draft) SetCache(answer string) error {
	if !filepath.IsAbs(answer) || strings.ContainsFunc(answer, unicode.IsControl) || !utf8.ValidString(answer) {
		return cli.Usage("for example /var/cache/oci-proxy", "%.60q is not an absolute path of a directory", answer)
	}
	d.cache = answer
	return nil
}

// Fronts returns the fronts that have a name.
func Fronts() []string { return clientip.Presets() }

// web parses the URL of a registry. The rules for the file are stricter; this one keeps secrets out of messages.
func web(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		hint := "write https://HOST or https://HOST/PATH, without a user name and password"
		if !strings.Contains(text, "://") && !strings.Contains(text, "@") {
			hint = "write https://HOST or https://HOST/PATH, or http:// if the registry has no TLS"
		}
		return nil, cli.Usage(hint, "not the URL of a registry")
	case u.User != nil:
		return nil, cli.Usage("leave them out: clients pull without a login", "the URL contains a user name or password")
	}
	return u, nil
}

// free returns a name that no registry or bucket has: name, or name with a number.
func (d *Draft) free(name string) string {
	const longest = 60 // 63 without the number
	name = strings.TrimRight(name[:min(len(name), longest)], "-")
	taken := func(n string) bool {
		return slices.ContainsFunc(d.registries, func(r registry) bool { return r.name == n }) ||
			slices.ContainsFunc(d.buckets, func(b bucket) bool { return b.name == n })
	}
	for n, try := 2, name; ; n++ {
		if !taken(try) {
			return try
		}
		try = fmt.Sprintf("%s-%d", name, n)
	}
}
