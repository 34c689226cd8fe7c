package place

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
)

// Place is one region of one cloud, such as aws/us-east-1 or onprem/berlin. The
// zero Place is unknown. With an empty Region, the cloud is known but the
// region is not. [Map.Unlisted] returns a few more places with an unknown
// region, such as aws/us-gov. Places are comparable.
type Place struct{ Cloud, Region string }

// grammar of the name of a cloud or region: it allows the names that the clouds
// use, and only names that need no quoting in a metric label, a YAML key or a
// URL.
var grammar = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$`)

// Parse reads "cloud/region". Both parts have lower-case letters, digits and
// inner hyphens, at most 63 each. Parse does not check whether the place is on
// a map.
func Parse(s string) (Place, error) {
	cloud, region, ok := strings.Cut(s, "/")
	p := Place{cloud, region}
	if !ok {
		return Place{}, fmt.Errorf("place %q: want cloud/region, such as aws/us-east-1", s)
	}
	if err := p.check(); err != nil {
		return Place{}, err
	}
	return p, nil
}

func (p Place) check() error {
	for _, part := range []string{p.Cloud, p.Region} {
		if !grammar.MatchString(part) {
			return fmt.Errorf("place %q: %q is not a name of lower-case letters, digits and hyphens", p, part)
		}
	}
	return nil
}

// String returns "cloud/region", "cloud" when the region is unknown, and ""
// for the zero Place.
func (p Place) String() string {
	if p.Region == "" {
		return p.Cloud
	}
	return p.Cloud + "/" + p.Region
}

// IsZero reports whether nothing is known about the place.
func (p Place) IsZero() bool { return p == Place{} }

// Compare orders places by cloud, then region.
func (p Place) Compare(q Place) int {
	return cmp.Or(strings.Compare(p.Cloud, q.Cloud), strings.Compare(p.Region, q.Region))
}
