package place

import (
	"slices"
	"strings"
)

// apart lists the partitions that the names of regions show: the cloud's
// network, accounts and prices there are apart from the rest.
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

// partition of a place by its name; the cloud's own name is the main one.
func partition(p Place) string {
	for i := range apart {
		a := &apart[i]
		// A partition without a region is called like the region's prefix: aws/us-gov.
		if a.cloud == p.Cloud && (strings.HasPrefix(p.Region, a.prefix) || p.Region == strings.TrimSuffix(a.prefix, "-")) {
			return a.name
		}
	}
	return p.Cloud
}

// Unlisted is the place that stands for a region of cloud which is not on the
// map: the cloud with an unknown region; or, where the region's name shows that
// it is in a partition of its own, that partition with an unknown region, such
// as aws/us-gov, so that nobody takes it for a client of the main one.
func (m *Map) Unlisted(cloud, region string) Place {
	name := partition(Place{cloud, region})
	for i := range apart {
		if a := &apart[i]; a.cloud == cloud && a.name == name {
			return Place{cloud, strings.TrimSuffix(a.prefix, "-")}
		}
	}
	return Place{Cloud: cloud}
}

// UnlistedPlaces are all that Unlisted returns for the clouds on the map, sorted.
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

// StandIn is the region whose spot counts for clients of an unlisted place:
// the one of the same partition that is nearest to near. The main partition of a
// cloud is all over the world and has none.
func (m *Map) StandIn(unlisted Place, near Spot) (Site, bool) {
	if unlisted.Region == "" {
		return Site{}, false
	}
	in := partition(unlisted)
	fits := func(s *Site) bool { return s.Partition == in }
	if s := m.nearest(unlisted.Cloud, near, fits); s != nil {
		return *s, true
	}
	i := slices.IndexFunc(m.clouds[unlisted.Cloud], fits) // near is nowhere
	if i < 0 {
		return Site{}, false
	}
	return *m.clouds[unlisted.Cloud][i], true
}

// OneCloud reports whether both places are in one cloud and partition: bytes
// between them have the cloud's own price. A cloud with an unknown region is
// taken to be its main partition.
func (m *Map) OneCloud(a, b Place) bool {
	return a.Cloud != "" && a.Cloud == b.Cloud && m.partitionOf(a) == m.partitionOf(b)
}

func (m *Map) partitionOf(p Place) string {
	if s := m.site(p); s != nil {
		return s.Partition
	}
	return partition(p)
}
