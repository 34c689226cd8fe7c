package infra

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/store/address"
)

// LeftOut is a store that no module can make.
type LeftOut struct {
	Store  string `json:"store"`
	Reason string `json:"reason"`
}

// ReadyPath is where a server says that it wants traffic (docs/monitor.md).
const ReadyPath = "/-/ready"

// Export returns what the modules need to know of a config, and the stores that no module can make, in the order of the
// file. The error is a [*config.Errors] when the config contradicts itself about a bucket.
func Export(cfg *config.Config) (*Variables, []LeftOut, error) {
	v := &Variables{AWS: Accounts{}, GCP: Accounts{}, Azure: Accounts{}, R2: Accounts{}, Front: front(cfg)}
	var left []LeftOut
	var faults []*config.Error
	first := map[string]string{} // the store of each bucket
	for i := range cfg.Stores {
		e := exporter{cfg: cfg, store: &cfg.Stores[i], at: fmt.Sprintf("stores[%d]", i)}
		made, reason := e.export()
		switch {
		case len(e.faults) > 0:
			faults = append(faults, e.faults...)
			continue
		case reason != "":
			left = append(left, LeftOut{e.store.Name, reason})
			continue
		}
		bucket := made.kind + "://" + made.store.Bucket + "/" + made.store.Container
		if other := first[bucket]; other != "" {
			e.fault(".bucket", "give each store a bucket of its own: a module makes one bucket for each store", "the bucket is that of %s", other)
			faults = append(faults, e.faults...)
			continue
		}
		first[bucket] = e.store.Name
		accounts := map[string]Accounts{"aws": v.AWS, "gcp": v.GCP, "azure": v.Azure, "r2": v.R2}[made.kind]
		if accounts[made.account] == nil {
			accounts[made.account] = map[string]Store{}
		}
		accounts[made.account][e.store.Name] = made.store
	}
	if len(faults) > 0 {
		return nil, nil, &config.Errors{List: faults}
	}
	return v, left, nil
}

// front returns what the config says about names, ports and times.
func front(cfg *config.Config) Front {
	f := Front{
		Names: []Name{}, Behind: cfg.Client.Behind.Preset, Ready: ReadyPath, Port: port(cfg.Listen), AdminPort: port(cfg.Admin.Listen),
		DrainSeconds: int(cfg.Limits.Drain.Seconds()), IdleSeconds: int(cfg.Limits.IdleTimeout.Seconds()),
	}
	for _, n := range cfg.Names {
		for _, host := range n.Hosts {
			f.Names = append(f.Names, Name{host, string(n.Role)})
		}
	}
	return f
}

// port returns the port of an address to listen on; 0: there is none.
func port(listen string) int {
	_, text, _ := net.SplitHostPort(listen)
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}

// exporter places one store.
type exporter struct {
	cfg    *config.Config
	store  *config.Store
	at     string // its path in the config
	faults []*config.Error
}

// made is a store with the account that a module makes it in.
type made struct {
	kind    string // aws, gcp, azure, r2
	account string
	store   Store
}

func (e *exporter) fault(key, hint, format string, args ...any) {
	e.faults = append(e.faults, e.cfg.Fault(e.at+key, hint, format, args...))
}

// export returns where a module makes the store, or why none can.
func (e *exporter) export() (m made, reason string) {
	s := e.store
	if s.Bucket == "" {
		return m, "the config names no bucket for it"
	}
	b, err := address.Parse(s.Bucket)
	if err != nil {
		e.fault(".bucket", "see docs/config.md, stores[]", "%v", err)
		return m, ""
	}
	m.store = Store{
		Bucket: b.Name, Container: b.Container, Place: s.Place.String(), Host: hostOf(s.URL), CDN: s.CDN != "", State: string(s.State),
		Inventory: s.Inventory.Enabled(), Serves: s.Serves.Names(),
	}
	account, r2 := r2Account(b)
	switch {
	case b.Scheme == "file":
		return m, "its bucket is a directory"
	case b.Prefix != "":
		return m, fmt.Sprintf("its objects lie below %s of the bucket, and the policies of the modules are for buckets without a prefix", b.Prefix)
	case r2:
		m.kind, m.account, m.store.Region = "r2", account, cmp.Or(b.Region, "auto")
	case b.Endpoint != "" && !b.Amazon():
		return m, "its bucket is at an endpoint of its own, " + b.Endpoint
	case b.Scheme == "s3":
		e.amazon(&m, b)
	case b.Scheme == "gs":
		m.kind, m.account = "gcp", cmp.Or(s.Owner, "default")
		reason = e.inCloud(&m, "gcp", "Google")
	default:
		m.kind, m.account = "azure", b.Name
		if b.Name != strings.ToLower(b.Name) {
			e.fault(".bucket", "write azblob://"+strings.ToLower(b.Name)+"/"+b.Container, "the name of a storage account has lower-case letters and digits only: %q", b.Name)
		}
		reason = e.inCloud(&m, "azure", "Azure")
	}
	return m, reason
}

// amazon places a bucket of Amazon.
func (e *exporter) amazon(m *made, b address.Bucket) {
	s := e.store
	in := place.Place{Cloud: "aws", Region: b.Region}
	switch {
	case b.Region == "":
		hint := "add ?region=REGION"
		if s.Place.Cloud == "aws" {
			hint = fmt.Sprintf("write %q", "s3://"+b.Name+"?region="+s.Place.Region)
		}
		e.fault(".bucket", hint, "the bucket's URL does not say its region")
	case !s.Place.IsZero() && s.Place.Cloud != "aws":
		e.fault(".bucket", "one of the two is wrong", "the bucket is one of Amazon, the place is %s", s.Place)
	case !s.Place.IsZero() && s.Place.Region != b.Region:
		e.fault(".bucket", "one of the two is wrong", "the bucket is in %s, the place is %s", in, s.Place)
	}
	if public, ok := address.OfURL(s.URL); ok && s.CDN == "" && public.Name != b.Name {
		e.fault(".url", "one of the two is wrong", "clients are sent to the bucket %s, and the mirror writes to %s", public.Name, b.Name)
	}
	partition := strings.Split(b.ARN(), ":")[1] // of a region that is not on the map
	if site, ok := e.cfg.Map().Find(in); ok {
		partition = site.Partition
	}
	m.kind, m.account, m.store.Region = "aws", partition, b.Region
	if s.Owner != "" {
		m.account += "/" + s.Owner
	}
}

// inCloud takes the region of a bucket from the place of the store, for clouds whose bucket URLs do not say it. It
// returns why no module can make the bucket.
func (e *exporter) inCloud(m *made, cloud, owner string) (reason string) {
	p := e.store.Place
	switch {
	case p.IsZero():
		return "it has no place, so the config does not say in which region its bucket is"
	case p.Cloud != cloud:
		e.fault(".bucket", "one of the two is wrong", "the bucket is one of %s, the place is %s", owner, p)
		return ""
	}
	if site, ok := e.cfg.Map().Find(p); ok && site.Partition != cloud {
		return fmt.Sprintf("its place is in %s, and the modules know the main partition of %s only", site.Partition, owner)
	}
	m.store.Region = p.Region
	return ""
}

// r2Account returns the account of a bucket of Cloudflare. ok is false when it is none.
func r2Account(b address.Bucket) (account string, ok bool) {
	host := strings.ToLower(hostOf(b.Endpoint))
	before, found := strings.CutSuffix(host, ".r2.cloudflarestorage.com")
	if !found || b.Scheme != "s3" {
		return "", false
	}
	account, jurisdiction, _ := strings.Cut(before, ".") // ID.eu.r2.cloudflarestorage.com
	if !slices.Contains([]string{"", "eu", "fedramp"}, jurisdiction) {
		return "", false
	}
	return cmp.Or(account, "default"), true
}

func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Host
}
