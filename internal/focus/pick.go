package focus

import (
	"slices"
	"strings"

	"ociproxy/internal/config"
	"ociproxy/internal/store/address"
)

// picker knows which resources of a bill are ours.
type picker struct {
	stores []storeOf
	// byResource has the indices of the stores of a resource: several containers of one account of Azure are one resource.
	byResource map[resourceKey][]int
}

// storeOf is what a bill can say about a store.
type storeOf struct {
	name     string
	provider string // of the bucket
	region   string
	owner    string // the account that must own the bucket; "": not known
	cdn      string // the provider of the CDN; "": there is none
}

type resourceKey struct{ provider, id string }

// cdnProviders are the providers whose bills have the CDNs of the config.
var cdnProviders = map[string]string{
	"cloudfront": "aws", "cloudflare-r2": "cloudflare", "fastly": "fastly", "google-cloud-cdn": "gcp",
	"backblaze-b2": "backblaze", "wasabi": "wasabi", "ibm-cos": "ibm",
}

// newPicker reads the stores of a config.
func newPicker(cfg *config.Config) *picker {
	p := &picker{byResource: map[resourceKey][]int{}}
	for i := range cfg.Stores {
		s := &cfg.Stores[i]
		is := storeOf{name: s.Name, provider: s.Place.Cloud, region: s.Place.Region, owner: s.Owner, cdn: cdnProviders[s.CDN]}
		var id string
		if b, err := address.Parse(s.Bucket); err == nil && s.Bucket != "" {
			is.provider, id = bucketKey(b, is.provider)
			if is.region == "" {
				is.region = b.Region
			}
		} else if b, ok := address.OfURL(s.URL); ok {
			is.provider, id = bucketKey(b, is.provider)
		}
		p.stores = append(p.stores, is)
		n := len(p.stores) - 1
		if id != "" {
			p.add(resourceKey{is.provider, id}, n)
		}
		for _, id := range cfg.Billing.Resources[config.AccountName(s.Name)] {
			for _, provider := range []string{is.provider, is.cdn} {
				if provider != "" {
					p.add(resourceKey{provider, resourceID(provider, id)}, n)
				}
			}
		}
	}
	return p
}

func (p *picker) add(k resourceKey, store int) {
	if !slices.Contains(p.byResource[k], store) {
		p.byResource[k] = append(p.byResource[k], store)
	}
}

// bucketKey returns the provider of a bucket and its name there. An S3-compatible bucket belongs to the cloud of its
// store.
func bucketKey(b address.Bucket, cloud string) (provider, id string) {
	switch {
	case b.Scheme == "gs":
		return "gcp", b.Name
	case b.Scheme == "azblob":
		return "azure", "storageaccounts/" + strings.ToLower(b.Name)
	case b.Scheme != "s3":
		return cloud, ""
	case strings.Contains(b.Endpoint, ".r2.cloudflarestorage.com"):
		return "cloudflare", b.Name
	case b.Endpoint == "" || b.Amazon():
		return "aws", b.Name
	}
	return cloud, b.Name
}

// resourceID returns the name of a resource as [picker] keeps it.
func resourceID(provider, id string) string {
	low := strings.ToLower(id)
	switch provider {
	case "aws":
		if _, rest, ok := strings.Cut(id, ":s3:::"); ok {
			return rest
		}
		if _, rest, ok := strings.Cut(low, ":distribution/"); ok {
			return "distribution/" + rest
		}
		if _, ok := strings.CutPrefix(low, "distribution/"); ok {
			return low
		}
		if distribution(id) {
			return "distribution/" + low
		}
		return id
	case "azure":
		// Everything in an account is on its bill: its blobs, its queues, its endpoints.
		for _, kind := range []string{"storageaccounts/", "profiles/"} {
			if i := strings.Index(low, kind); i >= 0 {
				name, _, _ := strings.Cut(low[i+len(kind):], "/")
				return kind + name
			}
		}
		return low
	case "gcp":
		if _, rest, ok := strings.Cut(id, "/buckets/"); ok {
			return rest
		}
		return id
	}
	return id
}

// distribution reports whether an identifier is one of a CloudFront distribution: 13 or 14 capital letters and digits
// that begin with E. No bucket has capital letters in its name.
func distribution(id string) bool {
	return len(id) >= 12 && len(id) <= 16 && id[0] == 'E' && strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

// whose is what a row is to us.
type whose int

const (
	others   whose = iota // of a resource that the config does not name
	ours                  // of one store
	shared                // of several stores, or of none by name but of the service and region of some
	stranger              // of our bucket, paid by another account than its owner
)

// find returns whose a row is, and the stores that it may be of.
func (p *picker) find(r *Row, kind Kind) (whose, []int) {
	if r.Resource != "" {
		found := p.byResource[resourceKey{r.Provider, resourceID(r.Provider, r.Resource)}]
		switch {
		case len(found) == 0:
			return others, nil
		case !p.paidBy(found[0], r):
			return stranger, found
		case len(found) == 1:
			return ours, found
		}
		return shared, found
	}
	var found []int
	for i := range p.stores {
		if s := &p.stores[i]; p.mayPay(s, r, kind) && p.paidBy(i, r) {
			found = append(found, i)
		}
	}
	if len(found) == 0 {
		return others, nil
	}
	return shared, found
}

// paidBy reports whether the account of a row may be the store's.
func (p *picker) paidBy(store int, r *Row) bool {
	owner := p.stores[store].owner
	return owner == "" || r.Account == "" || r.Provider != p.stores[store].provider || r.Provider != "aws" || account(r.Account) == owner
}

// account returns the number of an account: AWS writes some as an ARN.
func account(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }

// mayPay reports whether a row without a resource may be for a store: a CDN's row for a store behind a CDN of that
// provider, a bucket's row for a store in that region.
func (p *picker) mayPay(s *storeOf, r *Row, kind Kind) bool {
	if kind.ofCDN() {
		return s.cdn != "" && s.cdn == r.Provider
	}
	return s.provider == r.Provider && (r.Region == "" || s.region == "" || inRegion(r.Region, s.region))
}

// inRegion reports whether the region of a row is a region of the config.
func inRegion(row, region string) bool {
	return strings.EqualFold(strings.ReplaceAll(row, " ", ""), region)
}
