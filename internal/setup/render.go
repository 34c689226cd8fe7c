package setup

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/store/address"
)

//go:embed config.yaml.tmpl
var text string

var page = template.Must(template.New("config").Funcs(template.FuncMap{
	"quote": quote, "word": word, "join": func(list []string) string { return strings.Join(list, " and ") },
}).Parse(text))

// Render returns the text of the config: YAML with comments. Package config parses it without a fault.
func (d *Draft) Render() ([]byte, error) {
	var b bytes.Buffer
	if err := page.Execute(&b, d.sheet()); err != nil {
		return nil, fmt.Errorf("write config: %w", err)
	}
	return b.Bytes(), nil
}

// parse is the config of the draft so far. A registry that is still missing is made up.
func (d *Draft) parse(name string) (*config.Config, error) {
	if len(d.registries) == 0 {
		d = d.clone()
		d.registries = []registry{{name: "main", url: "https://registry.invalid", place: d.location}}
	}
	text, err := d.Render()
	if err != nil {
		return nil, err
	}
	return config.Parse(name, text)
}

// sheet is what the template shows.
type sheet struct {
	Location, Listen, Admin, Front, FrontNote, Cache string

	Sites           []siteSheet
	Feeds           []config.Feed
	Azure           bool     // a bucket or registry is in Azure, which has no feed with a stable address
	Unlisted        []string // clouds whose clients the server cannot recognise
	Networks        []networkSheet
	NetworksAssumed bool
	Upstreams       []upstreamSheet
	Stores          []storeSheet
	Repositories    []string
}

type siteSheet struct {
	Name, Lat, Lon, Country string
	Guessed                 bool
}

type networkSheet struct{ CIDR, Place string }

type upstreamSheet struct {
	Name, URL, Prefix, Place, Families string
	Insecure, Canonical, Failed        bool
}

type storeSheet struct {
	Name, Place, URL, Inventory, Bucket, Families, Serves string
	Insecure, Azure, Lacks, Active                        bool
}

func (d *Draft) sheet() sheet {
	s := sheet{Location: d.location.String(), Listen: d.listen, Admin: "127.0.0.1:9090", Front: d.front, Cache: d.cache,
		FrontNote: "See docs/client-address.md."}
	if d.front == "direct" {
		s.FrontNote = "direct: nothing (docs/client-address.md)."
	}
	if _, port, _ := net.SplitHostPort(d.listen); port == "9090" {
		s.Admin = "127.0.0.1:9091"
	}
	for _, p := range d.sites {
		s.Sites = append(s.Sites, siteSheet{p.String(), degrees(p.lat), degrees(p.lon), p.country, p.guessed})
	}
	networks, assumed := d.clients()
	s.NetworksAssumed = assumed
	for _, n := range networks {
		s.Networks = append(s.Networks, networkSheet{n.cidr.String(), n.place.String()})
	}
	var missing []string
	s.Feeds, missing = d.feeds()
	for _, cloud := range missing {
		if cloud == "azure" {
			s.Azure = true
		} else {
			s.Unlisted = append(s.Unlisted, cloud)
		}
	}
	for i, r := range d.registries {
		s.Upstreams = append(s.Upstreams, upstreamSheet{Name: r.name, URL: r.url, Prefix: r.prefix, Place: r.place.String(),
			Families: family(r.url), Insecure: plain(r.url), Canonical: i == 0, Failed: d.states[r.name] == config.Filling})
	}
	for _, b := range d.buckets {
		store := storeSheet{Name: b.name, Place: b.place.String(), URL: b.base + address.BlobPrefix + "{digest}",
			Inventory: b.base + address.InventoryPrefix, Bucket: b.bucket, Families: family(b.base), Serves: b.place.Cloud,
			Insecure: plain(b.base), Azure: b.azure, Active: d.states[b.name] == config.Active}
		if store.Families == "" && d.lacks[b.name] != "" {
			store.Families, store.Lacks = map[string]string{"ipv4": "ipv6", "ipv6": "ipv4"}[d.lacks[b.name]], true
		}
		if b.azure && store.Families == "" {
			store.Families = "ipv4"
		}
		s.Stores = append(s.Stores, store)
	}
	if len(d.buckets) > 0 {
		s.Repositories = d.repositories()
	}
	return s
}

// private are the addresses that a data centre of one's own uses inside, and loopback, for a first trial on one machine.
var private = []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "fc00::/7", "::1/128"}

// clients returns the networks of the operator's own. If there are none and the instance runs in a place of the
// operator's own, they are assumed to be the private ones: without any, the server would recognise no client there.
func (d *Draft) clients() (list []network, assumed bool) {
	if len(d.networks) > 0 || !d.own(d.location) {
		return d.networks, false
	}
	for _, p := range private {
		list = append(list, network{netip.MustParsePrefix(p), d.location})
	}
	return list, true
}

// feeds returns the feeds of the clouds in which registries and buckets are, and those of these clouds whose clients
// nothing recognises. The cloud of the location alone needs no feed: no candidate is there.
func (d *Draft) feeds() (feeds []config.Feed, missing []string) {
	var clouds []string
	add := func(p place.Place) {
		if p.Cloud != "" && !slices.Contains(clouds, p.Cloud) {
			clouds = append(clouds, p.Cloud)
		}
	}
	if len(d.buckets) == 0 {
		add(d.location)
	}
	for _, r := range d.registries {
		add(r.place)
	}
	for _, b := range d.buckets {
		add(b.place)
	}
	usual := config.UsualFeeds()
	networks, _ := d.clients()
	for _, cloud := range clouds {
		i := slices.IndexFunc(usual, func(f config.Feed) bool { return f.Cloud == cloud || string(f.Provider) == cloud })
		switch {
		case i >= 0:
			feeds = append(feeds, usual[i])
		case !slices.ContainsFunc(networks, func(n network) bool { return n.place.Cloud == cloud }):
			missing = append(missing, cloud)
		}
	}
	return feeds, missing
}

// repositories are the names of the images, each once.
func (d *Draft) repositories() (list []string) {
	for _, image := range d.images {
		name, _, _ := strings.Cut(image, "@")
		name, _, _ = strings.Cut(name, ":")
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

// plain reports whether a URL is without TLS.
func plain(raw string) bool { return strings.HasPrefix(raw, "http://") }

// family is the only IP family by which a URL's host can be reached, if the host is an address; otherwise "".
func family(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	addr, err := netip.ParseAddr(u.Hostname())
	switch {
	case err != nil:
		return ""
	case addr.Unmap().Is4():
		return "ipv4"
	}
	return "ipv6"
}

func degrees(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// quote writes any text as a YAML string: every JSON string is one.
func quote(s string) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(s)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// bare matches a word that YAML reads as a text without quotes, except for the words of boolish.
var (
	bare    = regexp.MustCompile(`^[a-z][a-z0-9-]*(/[a-z0-9-]+)?$`)
	boolish = []string{"true", "false", "yes", "no", "on", "off", "y", "n", "null"}
)

// word writes a name: without quotes where YAML needs none.
func word(s string) (string, error) {
	if bare.MatchString(s) && !slices.Contains(boolish, s) {
		return s, nil
	}
	return quote(s)
}
