package ranges

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/config"
)

// samples are small feeds in each provider's format. Tests use them as seeds and as input that a parser must read.
var samples = []struct {
	provider config.Provider
	body     string
	want     []string // prefix cloud/region or prefix locality
}{
	{config.AWS, `{"syncToken":"1","prefixes":[
		{"ip_prefix":"3.5.140.0/22","region":"ap-northeast-2","service":"AMAZON","network_border_group":"ap-northeast-2"},
		{"ip_prefix":"52.93.0.1/32","region":"GLOBAL","service":"AMAZON","new":1}],
		"ipv6_prefixes":[{"ipv6_prefix":"2600:1f17::/36","region":"us-east-1","service":"EC2"}]}`,
		[]string{"3.5.140.0/22 ap-northeast-2", "52.93.0.1/32 GLOBAL", "2600:1f17::/36 us-east-1"}},
	{config.GCP, `{"prefixes":[{"ipv4Prefix":"34.1.208.0/20","scope":"africa-south1"},{"ipv6Prefix":"2600:1900:8000::/44","scope":"global"}]}`,
		[]string{"34.1.208.0/20 africa-south1", "2600:1900:8000::/44 global"}},
	{config.Azure, `{"changeNumber":1,"values":[
		{"name":"AzureCloud","properties":{"addressPrefixes":["13.64.0.0/11"]}},
		{"name":"AzureCloud.GermanyWC","properties":{"addressPrefixes":["20.52.0.0/16","2603:1020:c00::/47"]}},
		{"name":"Storage.WestEurope","properties":{"addressPrefixes":["20.38.108.0/23"]}}]}`,
		[]string{"20.52.0.0/16 germanywc", "2603:1020:c00::/47 germanywc"}},
	{config.Oracle, `{"regions":[{"region":"mx-monterrey-1","cidrs":[{"cidr":"40.233.0.0/19","tags":["OCI"]},{"cidr":"64.181.146.0/23","tags":["OSN"]}]}]}`,
		[]string{"40.233.0.0/19 mx-monterrey-1", "64.181.146.0/23 mx-monterrey-1"}},
	{config.Exoscale, `{"prefixes":[{"IPv4Prefix":"89.145.160.0/22","zone":"de-fra-1"},{"IPv6Prefix":"2a04:c44::/32","zone":"at-vie-1"}]}`,
		[]string{"89.145.160.0/22 de-fra-1", "2a04:c44::/32 at-vie-1"}},
	{config.Vultr, `{"subnets":[{"ip_prefix":"43.224.32.0/22","alpha2code":"jp","region":"JP-13","city":"Shinagawa-ku","postal_code":"142-0002"},
		{"ip_prefix":"45.63.96.0/21","alpha2code":"GB","region":"GB-GB-MAN","city":"Swinton, Manchester"}]}`,
		[]string{"43.224.32.0/22 JP-13 Shinagawa-ku", "45.63.96.0/21 GB-MAN Swinton, Manchester"}},
	{config.Geofeed, "\ufeff# comment\n\n5.101.96.0/21,NL,NL-NH,Amsterdam,1098 XH\n165.245.148.0/22,None\n45.55.0.1 , US\n2a03:b0c0::,gb,,\"London, UK\",\n9.9.9.0/24\n",
		[]string{"5.101.96.0/21 NL-NH Amsterdam", "165.245.148.0/22", "45.55.0.1/32 US", "2a03:b0c0::/128 GB London, UK", "9.9.9.0/24"}},
	{config.CSV, "cidr,place\n# office\n192.0.2.0/24,onprem/berlin\n10.0.0.0/8, aws\n2001:db8::/32,aws/us-east-1,comment\n",
		[]string{"192.0.2.0/24 onprem/berlin", "10.0.0.0/8 aws", "2001:db8::/32 aws/us-east-1"}},
}

func TestParsers(t *testing.T) {
	for _, s := range samples {
		t.Run(string(s.provider), func(t *testing.T) {
			rows, err := formats[s.provider].parse([]byte(s.body))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range rows {
				where := strings.TrimSuffix(r.cloud+"/"+r.region, "/")
				got = append(got, strings.TrimSpace(r.prefix.String()+" "+strings.TrimPrefix(where, "/")+r.at.String()))
			}
			if d := cmp.Diff(s.want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
	if d := cmp.Diff(len(config.Provider("").Values()), len(formats)); d != "" {
		t.Errorf("a provider without a format (-want +got)\n%s", d)
	}
}

func TestParseErrors(t *testing.T) {
	for _, tt := range []struct {
		provider   config.Provider
		body, want string
	}{
		{config.AWS, `{"prefixes":[{"ip_prefix":"3.5.140.0/22"`, "not JSON at byte"},
		{config.AWS, `{"prefixes":[]} trailing`, "not JSON at byte"},
		{config.AWS, `[]`, "unmarshal JSON array"},
		{config.AWS, `{"prefixes":[{"ip_prefix":"3.5.140.0/22"}]}`, "prefixes[0]: no region"},
		{config.AWS, `{"prefixes":[{"ip_prefix":"3.5.140.0/33","region":"x"}]}`, "not in CIDR notation"},
		{config.AWS, `{"prefixes":[{"ip_prefix":"3.5.140.1/22","region":"x"}]}`, "host bits"},
		{config.AWS, `{"prefixes":[{"ip_prefix":"::ffff:3.5.140.0/118","region":"x"}]}`, "IPv4 written as IPv6"},
		{config.AWS, `{"prefixes":[{"ip_prefix":"2600::/32","region":"x"}]}`, "other family"},
		{config.AWS, `{"ipv6_prefixes":[{"region":"x"}]}`, "ipv6_prefixes[0]: no prefix"},
		{config.AWS, samples[1].body, "prefixes[0]: no prefix"}, // another provider's file
		{config.GCP, samples[0].body, "prefixes[0]: no prefix"},
		{config.GCP, `{"prefixes":[{"ipv4Prefix":"3.0.0.0/8","ipv6Prefix":"2600::/32","scope":"x"}]}`, "two prefixes"},
		{config.GCP, `{"prefixes":[{"ipv4Prefix":"3.0.0.0/8"}]}`, "no region"},
		{config.Azure, `{"values":[{"name":"AzureCloud.","properties":{"addressPrefixes":["3.0.0.0/8"]}}]}`, "no region"},
		{config.Azure, `{"values":[{"name":"AzureCloud.x","properties":{"addressPrefixes":["3.0.0.0"]}}]}`, "AzureCloud.x: addressPrefixes[0]"},
		{config.Oracle, `{"regions":[{"cidrs":[{"cidr":"3.0.0.0/8"}]}]}`, "regions[0]: no region"},
		{config.Oracle, `{"regions":[{"region":"x","cidrs":[{}]}]}`, "x: cidrs[0]"},
		{config.Exoscale, `{"prefixes":[{"IPv4Prefix":"3.0.0.0/8"}]}`, "no region"},
		{config.Vultr, `{"subnets":[{"alpha2code":"DE"}]}`, "subnets[0]"},
		{config.Geofeed, "3.0.0.0/8,DE\nx,DE\n", "line 2"},
		{config.Geofeed, "3.0.0.0/8,\"DE\n", "line 1"},
		{config.Geofeed, "fe80::1%eth0,DE\n", "line 1"},
		{config.CSV, "3.0.0.0/8\n", "line 1: want prefix,place"},
		{config.CSV, "3.0.0.0/8,\n", "line 1"},
		{config.CSV, "3.0.0.0/8,AWS/us east\n", "line 1"},
		{config.CSV, "3.0.0.0/8,Aws\n", "line 1"},
		{config.CSV, "a,b\n3.0.0.0/8,aws\n", "line 1"},
	} {
		rows, err := formats[tt.provider].parse([]byte(tt.body))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s: %v, %v; want error %q", tt.provider, tt.body, rows, err, tt.want)
		}
	}
}

// fuzz feeds arbitrary data to a parser. The parser must not panic, and everything it accepts must be well-formed.
func fuzz(f *testing.F, p config.Provider, files ...string) {
	for _, s := range samples {
		f.Add([]byte(s.body))
	}
	for _, name := range files { // the first rows of the real file, if it is there
		if raw, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "data", "ranges", name)); err == nil {
			f.Add(raw[:min(len(raw), 4096)])
		}
	}
	form := formats[p]
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, err := form.parse(data)
		if err != nil {
			return
		}
		for _, r := range rows {
			if !r.prefix.IsValid() || r.prefix != r.prefix.Masked() || r.prefix.Addr().Is4In6() || r.prefix.Addr().Zone() != "" {
				t.Errorf("accepted prefix %v", r.prefix)
			}
			if r.region == "" && form.kind == cloudList {
				t.Errorf("accepted %v without a region", r.prefix)
			}
			if c := r.at.country; c != "" && len(c) != 2 {
				t.Errorf("accepted country %q", c)
			}
		}
		use, skipped, err := form.kind.check(rows)
		if err != nil {
			return
		}
		if len(use)+skipped != len(rows) {
			t.Errorf("%d used, %d left out of %d", len(use), skipped, len(rows))
		}
		for _, r := range use {
			if a := r.prefix.Addr(); a.IsLoopback() || a.IsMulticast() || a.IsUnspecified() || a.IsPrivate() && form.kind != ownList {
				t.Errorf("believed %v", r.prefix)
			}
		}
		if s := measure(use); s.v4 < 0 || s.v4 > 1<<32 || s.v6 < 0 || s.v4+s.v6 < 1 {
			t.Errorf("space %v", s)
		}
	})
}

func FuzzAWS(f *testing.F)      { fuzz(f, config.AWS, "aws-ip-ranges.json") }
func FuzzGCP(f *testing.F)      { fuzz(f, config.GCP, "gcp-cloud.json") }
func FuzzAzure(f *testing.F)    { fuzz(f, config.Azure, "azure-servicetags.json") }
func FuzzOracle(f *testing.F)   { fuzz(f, config.Oracle, "oracle-public_ip_ranges.json") }
func FuzzExoscale(f *testing.F) { fuzz(f, config.Exoscale, "exoscale-prefixes.json") }
func FuzzVultr(f *testing.F)    { fuzz(f, config.Vultr, "vultr-geofeed.json") }
func FuzzGeofeed(f *testing.F) {
	fuzz(f, config.Geofeed, "digitalocean-geofeed.csv", "linode-geofeed.csv")
}
func FuzzCSV(f *testing.F) { fuzz(f, config.CSV) }
