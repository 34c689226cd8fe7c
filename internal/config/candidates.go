package config

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"ociproxy/internal/oci"
	"ociproxy/internal/place"
)

// candidateName can stand in a metric label, a log line and a command line without quoting.
var candidateName = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$`)

func (v *validator) upstreams() {
	var canonical []string
	for i := range v.c.Upstreams {
		u := &v.c.Upstreams[i]
		at := fmt.Sprintf("upstreams[%d]", i)
		v.name(at, u.Name)
		v.place(at+".place", &u.Place)
		if v.url(at+".url", u.URL, urlRule{root: true, insecure: u.Insecure}) != nil {
			u.URL = strings.TrimRight(u.URL, "/")
		}
		if u.Prefix != "" && !oci.ValidName(u.Prefix) {
			hint := "lower-case letters and digits, separated by . _ - and /"
			if t := strings.Trim(u.Prefix, "/"); oci.ValidName(t) {
				hint = "write " + t
			}
			v.fail(at+".prefix", hint, "not the beginning of a repository name: %q", shorten(u.Prefix))
		}
		if u.Canonical {
			canonical = append(canonical, at)
			if u.State != Active {
				v.fail(at+".state", "make another upstream canonical first", "the canonical upstream must be active: it is the last resort of every request")
			}
		}
		if u.MaxRPS < 0 {
			v.fail(at+".maxRPS", "", "maxRPS is negative")
		}
		v.lag(at+".lag", u)
		v.hostPatterns(at+".redirectsTo", u.RedirectsTo, maxRedirectsTo, true)
		v.announce(at+".announce", u.Announce, u.Canonical)
		v.serves(at, u.Serves)
		v.price(at+".price", u.Price)
	}
	switch {
	case len(v.c.Upstreams) == 0:
		v.fail("upstreams", "name at least the registry that holds all images, with canonical: true", "there is no upstream")
	case len(canonical) == 0:
		v.fail("upstreams", "mark the one that has everything with `canonical: true`", "no upstream is canonical")
	}
	for _, at := range canonical[min(1, len(canonical)):] {
		v.fail(at+".canonical", "keep the one that has everything", "%s is canonical already: there must be exactly one", v.c.nameOf(canonical[0]))
	}
}

// maxLag is a day: who is behind for longer is no replica of tags.
const maxLag = 24 * time.Hour

func (v *validator) lag(at string, u *Upstream) {
	_, set := v.nodes[at]
	switch {
	case u.Canonical && set && u.Lag != 0:
		v.fail(at, "remove it: others are behind this one", "the canonical upstream has no lag")
	case u.Canonical:
		u.Lag = 0
	case u.Lag < 0 || u.Lag > maxLag:
		v.fail(at, "the longest that your replication takes: 10m", "lag must be between 0 and %s", formatDuration(maxLag))
	}
}

// MaxCandidates is how many upstreams and stores one file may have, those that are off included.
const MaxCandidates = 256

func (v *validator) candidates() {
	over := len(v.c.Upstreams) + len(v.c.Stores) - MaxCandidates
	if over <= 0 {
		return
	}
	first := fmt.Sprintf("upstreams[%d]", max(0, len(v.c.Upstreams)-over))
	if i := len(v.c.Stores) - over; i >= 0 {
		first = fmt.Sprintf("stores[%d]", i)
	}
	v.fail(first, "remove those that are off, or give each region an instance with its own file",
		"%d upstreams and stores are more than %d", MaxCandidates+over, MaxCandidates)
}

// nameOf is the name of the upstream at a path.
func (c *Config) nameOf(path string) string {
	var i int
	if _, err := fmt.Sscanf(path, "upstreams[%d]", &i); err != nil || c.Upstreams[i].Name == "" {
		return path
	}
	return c.Upstreams[i].Name
}

func (v *validator) stores() {
	buckets := map[string]string{}
	for i := range v.c.Stores {
		s := &v.c.Stores[i]
		at := fmt.Sprintf("stores[%d]", i)
		v.name(at, s.Name)
		v.place(at+".place", &s.Place)
		v.cdn(at, s)
		rule := urlRule{digest: true, insecure: s.Insecure}
		v.url(at+".url", s.URL, rule)
		if s.Check != "" {
			v.url(at+".check", s.Check, rule)
		}
		v.inventory(at+".inventory", s)
		v.hostPatterns(at+".redirectsTo", s.RedirectsTo, maxRedirectsTo, true)
		v.announce(at+".announce", s.Announce, false)
		v.serves(at, s.Serves)
		v.price(at+".price", s.Price)
		if s.Rollout < 0 || s.Rollout > 100 {
			v.fail(at+".rollout", "", "rollout is a share in percent, 0 to 100")
		}
		if s.Bucket == "" {
			continue
		}
		v.bucket(at, s)
		if first := buckets[s.Bucket]; first != "" {
			v.fail(at+".bucket", "two stores in one bucket would overwrite each other's inventory", "the bucket is that of %s", first)
		}
		buckets[s.Bucket] = s.Name
	}
}

func (v *validator) cdn(at string, s *Store) {
	if s.CDN == "" {
		if s.Place.IsZero() && !v.bad[at+".place"] {
			v.fail(at, "place: where the bytes are; or cdn: whose CDN it is", "a store needs a place or a cdn")
		}
		return
	}
	known := place.CDNs()
	if !slices.Contains(known, s.CDN) {
		hint := "known: " + strings.Join(known, ", ")
		if n := Suggest(s.CDN, known); n != "" {
			hint = fmt.Sprintf("did you mean %q?", n)
		}
		v.fail(at+".cdn", hint, "unknown CDN %q", shorten(s.CDN))
	}
}

func (v *validator) inventory(at string, s *Store) {
	if _, set := v.nodes[at]; !set || v.bad[at] || v.bad[at+".url"] {
		return
	}
	if v.url(at+".url", s.Inventory.URL, urlRule{insecure: s.Insecure}) != nil && !strings.HasSuffix(s.Inventory.URL, "/") {
		s.Inventory.URL += "/"
	}
	if s.Inventory.Refresh <= 0 {
		v.fail(at+".refresh", "", "refresh must be longer than 0")
	}
	if s.Inventory.StaleAfter <= s.Inventory.Refresh {
		v.fail(at+".staleAfter", "", "staleAfter must be longer than refresh")
	}
}

func (v *validator) name(at, name string) {
	at += ".name"
	if v.bad[at] {
		return
	}
	if !candidateName.MatchString(name) {
		v.fail(at, "lower-case letters, digits and inner . _ -, at most 63", "not a name: %q", shorten(name))
		return
	}
	if first, dup := v.names[name]; dup {
		n := v.nodes[first]
		v.fail(at, fmt.Sprintf("line %d has it already; upstreams and stores share their names", n.Line), "duplicate name %q", name)
		return
	}
	v.names[name] = at
}

func (v *validator) serves(at string, s Serves) {
	at += ".serves"
	for _, cloud := range s.Clouds {
		v.cloud(v.item(at, cloud), cloud, "internet", "all")
	}
}

// item is the path of a word in a list of words.
func (v *validator) item(at, word string) string {
	if n := v.nodes[at]; n != nil {
		for i, e := range n.Content {
			if e.Value == word {
				return fmt.Sprintf("%s[%d]", at, i)
			}
		}
	}
	return at
}

func (v *validator) price(at string, p place.Override) {
	for key, cents := range map[string]*float64{"internet": p.Internet, "sameCloud": p.SameCloud} {
		if cents != nil && (*cents < 0 || *cents > 1000) {
			v.fail(at+"."+key, "9 is nine cents per GB", "a price is between 0 and 1000 US cents per GB")
		}
	}
}

var bucketSchemes = []string{"s3", "gs", "azblob", "file"}

func (v *validator) bucket(at string, s *Store) {
	path := at + ".bucket"
	u, err := url.Parse(s.Bucket)
	switch {
	case err != nil || !slices.Contains(bucketSchemes, u.Scheme):
		v.fail(path, "s3://name?region=…, gs://name, azblob://account/container or file:///dir", "not a bucket")
		return
	case u.User != nil:
		v.fail(path, "do not put secrets in this file; oci-proxyctl takes them from its environment", "the bucket's URL contains a user name or password")
		return
	case u.Scheme == "file" && (u.Host != "" || u.Path == "" || u.Path == "/"):
		v.fail(path, "file:///var/lib/store", "a file bucket names a directory")
	case u.Scheme != "file" && u.Host == "":
		v.fail(path, "s3://name?region=…, gs://name, azblob://account/container", "the bucket has no name")
	case u.Scheme == "azblob" && strings.Trim(u.Path, "/") == "":
		v.fail(path, "azblob://account/container", "the bucket has no container")
	}
	for name := range u.Query() {
		if slices.ContainsFunc(secretParameters, func(s string) bool { return strings.EqualFold(s, name) }) {
			v.fail(path, "do not put secrets in this file; oci-proxyctl takes them from its environment", "the bucket's URL contains a credential, the parameter %q", name)
		}
	}
	if s.Owner != "" && u.Scheme == "s3" && !awsAccount.MatchString(s.Owner) {
		v.fail(at+".owner", "", "the owner of an S3 bucket is an AWS account of 12 digits")
	}
}

var awsAccount = regexp.MustCompile(`^\d{12}$`)
