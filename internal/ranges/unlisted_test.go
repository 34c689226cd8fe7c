package ranges

import (
	"net/netip"
	"testing"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
)

// TestRegionsThatTheMapLacks guards against a bug: a new region of China or GovCloud was taken for a region of AWS's
// main partition. It tests each provider in the format of its feed. The partition is also kept when one or two feeds
// name several of its regions.
func TestRegionsThatTheMapLacks(t *testing.T) {
	aws := func(rows ...string) string {
		text := ""
		for i := 0; i < len(rows); i += 2 {
			if i > 0 {
				text += ","
			}
			text += `{"ip_prefix":"` + rows[i] + `","region":"` + rows[i+1] + `","service":"EC2"}`
		}
		return `{"prefixes":[` + text + `],"ipv6_prefixes":[]}`
	}
	tests := []struct {
		name     string
		provider config.Provider
		body     string
		want     string
		region   string
	}{
		{"aws", config.AWS, aws("52.9.0.0/16", "eu-nowhere-9"), "aws", "eu-nowhere-9"},
		{"GovCloud", config.AWS, aws("52.9.0.0/16", "us-gov-nowhere-9"), "aws/us-gov", "us-gov-nowhere-9"},
		{"China", config.AWS, aws("52.9.0.0/16", "cn-nowhere-9"), "aws/cn", "cn-nowhere-9"},
		{"sovereign", config.AWS, aws("52.9.0.0/16", "eusc-nowhere-9"), "aws/eusc", "eusc-nowhere-9"},
		{"gcp", config.GCP, `{"prefixes":[{"ipv4Prefix":"52.9.0.0/16","scope":"europe-nowhere9"}]}`, "gcp", "europe-nowhere9"},
		{"azure", config.Azure, `{"values":[{"name":"AzureCloud.WestNowhere","properties":{"addressPrefixes":["52.9.0.0/16"]}}]}`, "azure", "westnowhere"},
		{"azure china", config.Azure, `{"values":[{"name":"AzureCloud.ChinaEast2","properties":{"addressPrefixes":["52.9.0.0/16"]}}]}`, "azure/china", "chinaeast2"},
		{"oracle", config.Oracle, `{"regions":[{"region":"us-gov-nowhere-1","cidrs":[{"cidr":"52.9.0.0/16"}]}]}`, "oracle/us-gov", "us-gov-nowhere-1"},
		{"own list", config.CSV, "52.9.0.0/16,aws/us-gov-nowhere-9\n", "aws/us-gov", "us-gov-nowhere-9"},
		{"own list, the partition", config.CSV, "52.9.0.0/16,aws/cn\n", "aws/cn", "cn"},

		{"two of one partition", config.AWS, aws("52.9.0.0/16", "us-gov-east-1", "52.9.0.0/16", "us-gov-west-1"), "aws/us-gov", severalRegions},
		{"two of two partitions", config.AWS, aws("52.9.0.0/16", "us-gov-east-1", "52.9.0.0/16", "us-east-1"), "aws", severalRegions},
		{"none, then a partition", config.AWS, aws("52.9.0.0/16", "GLOBAL", "52.9.0.0/16", "us-gov-nowhere-9"), "aws/us-gov", "us-gov-nowhere-9"},
		{"a partition, then none", config.AWS, aws("52.9.0.0/16", "us-gov-nowhere-9", "52.9.0.0/16", "GLOBAL"), "aws/us-gov", "us-gov-nowhere-9"},
		{"a partition, then a region", config.AWS, aws("52.9.0.0/16", "us-gov-nowhere-9", "52.9.0.0/16", "us-gov-east-1"), "aws/us-gov-east-1", "us-gov-east-1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := formats[tt.provider]
			rows, err := f.parse([]byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			r := resolver{feed: "test", cloud: f.cloud, sites: place.Embedded()}
			es, _, err := r.entries(rows)
			if err != nil {
				t.Fatal(err)
			}
			table, _ := newTable(nil, [][]Entry{{{Prefix: es[0].Prefix, Place: place.Place{Cloud: es[0].Place.Cloud}, Region: "GLOBAL"}}, es})
			e, ok := table.Lookup(netip.MustParseAddr("52.9.1.1"))
			if len(es) != 1 || es[0].Place.String() != tt.want || es[0].Region != tt.region {
				t.Errorf("%+v, want %s (%s)", es, tt.want, tt.region)
			}
			if !ok || e.Place.String() != tt.want {
				t.Errorf("%+v after a feed that knows the cloud only, want %s", e, tt.want)
			}
		})
	}
}
