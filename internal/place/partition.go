package place

import (
	"slices"
	"strings"
)

// apart lists the partitions that can be recognised by the names of their
// regions. The cloud's network, accounts and prices there are separate from the
// rest.
//
// AWS: arn:PARTITION in docs.aws.amazon.com/whitepapers, "AWS partitions".
// Azure: learn.microsoft.com/azure/azure-government and /azure/china.
// Oracle: the realms of docs.oracle.com/iaas/Content/General/Concepts/regions.htm.
var apart = []struct {
	cloud  string
	prefix string // of the region's name
	name   string // of the partition
}{
	{"aws", "cn-", "aws-cn"},
	{"aws", "us-gov-", "aws-us-gov"},
	{"aws", "eusc-", "aws-eusc"},
	{"aws", "us-iso-", "aws-us-iso"},
	{"aws", "us-isob-", "aws-us-isob"},
	{"aws", "us-isof-", "aws-us-isof"},
	{"aws", "eu-isoe-", "aws-eu-isoe"},
	{"azure", "china", "azure-china"},
	{"azure", "usgov", "azure-usgov"},
	{"azure", "usdod", "azure-usgov"},
	{"oracle", "us-gov-", "oracle-us-gov"},
	{"oracle", "uk-gov-", "oracle-uk-gov"},
}

// partition returns the partition of a place by its name. The main partition
// has the cloud's own name.
func partition(p Place) string {
	for i := range apart {
		a := &apart[i]
		// A partition with an unknown region is named after its regions'
		// prefix: aws/us-gov.
		if a.cloud == p.Cloud && (strings.HasPrefix(p.Region, a.prefix) || p.Region == strings.TrimSuffix(a.prefix, "-")) {
			return a.name
		}
	}
	return p.Cloud
}

// Unlisted returns the place to use for a region of cloud that is not on the
// map. This is the cloud with an unknown region. If the region's name shows a
// partition of its own, it is that partition with an unknown region, such as
// aws/us-gov, so that its clients are not taken for clients of the main
// partition.
func (m *Map) Unlisted(cloud, region string) Place {
	name := partition(Place{cloud, region})
	for i := range apart {
		if a := &apart[i]; a.cloud == cloud && a.name == name {
			return Place{cloud, strings.TrimSuffix(a.prefix, "-")}
		}
	}
	return Place{Cloud: cloud}
}

// UnlistedPlaces returns all places that Unlisted returns for the clouds on the
// map, sorted.
func (m *Map) UnlistedPlaces() []Place {
	var all []Place
	for cloud := range m.clouds {
		all = append(all, Place{Cloud: cloud})
		for i := range apart {
			if apart[i].cloud == cloud {
				all = append(all, m.Unlisted(cloud, apart[i].prefix))
			}
		}
	}
	slices.SortFunc(all, Place.Compare)
	return slices.Compact(all)
}

// StandIn returns the region whose spot is used for clients of an unlisted
// place: the region of the same partition that is nearest to near. The main
// partition of a cloud has no stand-in, because it is all over the world.
func (m *Map) StandIn(unlisted Place, near Spot) (Site, bool) {
	if unlisted.Region == "" {
		return Site{}, false
	}
	in := partition(unlisted)
	fits := func(s *Site) bool { return s.Partition == in }
	if s := m.nearest(unlisted.Cloud, near, fits); s != nil {
		return *s, true
	}
	i := slices.IndexFunc(m.clouds[unlisted.Cloud], fits) // near is unknown
	if i < 0 {
		return Site{}, false
	}
	return *m.clouds[unlisted.Cloud][i], true
}

// OneCloud reports whether both places are in one cloud and partition, so that
// traffic between them has the cloud's own price. A cloud with an unknown
// region counts as its main partition.
func (m *Map) OneCloud(a, b Place) bool {
	return a.Cloud != "" && a.Cloud == b.Cloud && m.partitionOf(a) == m.partitionOf(b)
}

func (m *Map) partitionOf(p Place) string {
	if s := m.site(p); s != nil {
		return s.Partition
	}
	return partition(p)
}
