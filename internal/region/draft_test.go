package region

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
)

const head = `version: 1
location: gcp/us-central1
upstreams:
- {name: main, url: "https://r.example", place: gcp/us-central1, canonical: true}
`

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("c.yaml", []byte(head+text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func at(t *testing.T, text string) place.Place {
	t.Helper()
	p, err := place.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestShort(t *testing.T) {
	for region, want := range map[string]string{
		"us-east-1": "use1", "eu-south-2": "eus2", "ap-southeast-3": "apse3", "us-gov-west-1": "usgovw1", "ca-central-1": "cac1",
		"europe-west1": "euw1", "asia-southeast1": "asse1", "northamerica-northeast1": "nane1", "us-central1": "usc1",
		"westeurope": "", "berlin": "", "fra1": "", "me-jeddah-1": "", "us": "",
	} {
		if got := short(region); got != want {
			t.Errorf("%s: %q, want %q", region, got, want)
		}
	}
}

func TestRespell(t *testing.T) {
	from, to := place.Place{Cloud: "aws", Region: "us-east-1"}, place.Place{Cloud: "aws", Region: "eu-south-2"}
	for text, want := range map[string]string{
		"prod-use1.s3.us-east-1.amazonaws.com": "prod-eus2.s3.eu-south-2.amazonaws.com",
		"us-east-12 xus-east-1 useast1":        "us-east-12 xus-east-1 eusouth2",
		"focuse1 use1":                         "focuse1 eus2", "prod": "prod",
	} {
		if got := respell(text, from, to); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

const virginia = `stores:
- name: s3-use1
  place: aws/us-east-1
  url: "https://prod-use1.s3.us-east-1.amazonaws.com/containers/images/{digest}"
  inventory: {url: "https://prod-use1.s3.us-east-1.amazonaws.com/inventory/"}
  bucket: "s3://prod-use1?region=us-east-1"
  owner: "123456789012"
  serves: [aws, internet]
`

// TestMake drafts stanzas. Each one makes a config that the server can use.
func TestMake(t *testing.T) {
	gcs := `stores:
- {name: gcs-europe-west1, place: gcp/europe-west1, url: "https://storage.googleapis.com/x-europe-west1/containers/images/{digest}", bucket: "gs://x-europe-west1", serves: [gcp], families: [ipv6]}
`
	for name, tt := range map[string]struct {
		stores string
		wish   Wish
		want   string // lines of the stanza
		notes  string
	}{
		"as the neighbour": {virginia, Wish{Place: at(t, "aws/eu-south-2")}, `name: s3-eus2
place: aws/eu-south-2
url: "https://prod-eus2.s3.eu-south-2.amazonaws.com/containers/images/{digest}"
inventory: {url: "https://prod-eus2.s3.eu-south-2.amazonaws.com/inventory/"}
bucket: "s3://prod-eus2?region=eu-south-2"
owner: "123456789012"
serves: [internet, aws]
state: filling
`, ""},
		"own names": {virginia, Wish{Place: at(t, "aws/eu-south-2"), Name: "spain", Bucket: "use1-spain", Owner: "210987654321"}, `name: spain
place: aws/eu-south-2
url: "https://use1-spain.s3.eu-south-2.amazonaws.com/containers/images/{digest}"
inventory: {url: "https://use1-spain.s3.eu-south-2.amazonaws.com/inventory/"}
bucket: "s3://use1-spain?region=eu-south-2"
owner: "210987654321"
serves: [internet, aws]
state: filling
`, ""},
		"Google": {gcs, Wish{Place: at(t, "gcp/us-east1")}, `name: gcs-us-east1
place: gcp/us-east1
url: "https://storage.googleapis.com/x-us-east1/containers/images/{digest}"
bucket: "gs://x-us-east1"
serves: [gcp]
state: filling
families: [ipv6]
`, "It has no inventory: set inventory: {url: …} if the mirror fills it."},
		"a cloud without a store": {"", Wish{Place: at(t, "azure/westeurope"), Bucket: "azblob://acc/c", URL: "https://acc.blob.core.windows.net/c/containers/images/{digest}"}, `name: azure-westeurope
place: azure/westeurope
url: "https://acc.blob.core.windows.net/c/containers/images/{digest}"
inventory: {url: "https://acc.blob.core.windows.net/c/inventory/"}
bucket: "azblob://acc/c"
serves: [azure]
state: filling
`, ""},
		"a notice": {virginia + "endpoints: {notice: 336h}\n", Wish{Place: at(t, "aws/us-west-2")}, `name: s3-usw2
place: aws/us-west-2
url: "https://prod-usw2.s3.us-west-2.amazonaws.com/containers/images/{digest}"
inventory: {url: "https://prod-usw2.s3.us-west-2.amazonaws.com/inventory/"}
bucket: "s3://prod-usw2?region=us-west-2"
owner: "123456789012"
serves: [internet, aws]
state: filling
announce: {from: 2026-12-15}
`, "Users must allow its hosts: 2026-11-30 plus a notice of 14 days is 2026-12-15. No client is sent there before 00:00 UTC of that day."},
		"a notice and a wildcard": {virginia + "endpoints: {notice: 336h, wildcards: ['*.s3.us-west-2.amazonaws.com']}\n", Wish{Place: at(t, "aws/us-west-2"), Name: "w"}, `name: w
place: aws/us-west-2
url: "https://prod-usw2.s3.us-west-2.amazonaws.com/containers/images/{digest}"
inventory: {url: "https://prod-usw2.s3.us-west-2.amazonaws.com/inventory/"}
bucket: "s3://prod-usw2?region=us-west-2"
owner: "123456789012"
serves: [internet, aws]
state: filling
`, "The published wildcards cover its hosts, so it needs no notice."},
		"a price of its own, not open yet": {virginia + "  price: {sameCloud: 1}\n", Wish{Place: at(t, "aws/me-west-1"), Name: "x"}, `name: x
place: aws/me-west-1
url: "https://prod-mew1.s3.me-west-1.amazonaws.com/containers/images/{digest}"
inventory: {url: "https://prod-mew1.s3.me-west-1.amazonaws.com/inventory/"}
bucket: "s3://prod-mew1?region=me-west-1"
owner: "123456789012"
serves: [internet, aws]
state: filling
`, "aws/me-west-1 is not open to customers as far as the map knows.\ns3-use1 has a price of its own, which was not taken over: regions have different prices."},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := parse(t, tt.stores)
			tt.wish.Now = time.Date(2026, 11, 30, 11, 0, 0, 0, time.UTC)
			d, err := Make(cfg, tt.wish)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, d.Text); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if got := strings.Join(d.Notes, "\n"); got != tt.notes {
				t.Errorf("notes %q", got)
			}
			stanza := "- " + strings.ReplaceAll(strings.TrimSpace(d.Text), "\n", "\n  ") + "\n"
			if tt.stores == "" {
				stanza = "stores:\n" + stanza
			} else {
				stanza = strings.Replace(tt.stores, "stores:\n", "stores:\n"+stanza, 1)
			}
			if again := parse(t, stanza); len(again.Stores) != len(cfg.Stores)+1 {
				t.Errorf("%d stores", len(again.Stores))
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		stores     string
		wish       Wish
		want, hint string
	}{
		"not on the map": {virginia, Wish{Place: at(t, "aws/eu-sout-2")}, "aws/eu-sout-2 is not on the map", `did you mean "aws/eu-south-2"? Otherwise add it to the config`},
		"no store":       {virginia, Wish{Place: at(t, "azure/westeurope")}, "no store of the cloud azure has a bucket to follow", "--bucket"},
		"partition":      {virginia, Wish{Place: at(t, "aws/us-gov-west-1")}, "no store of the cloud aws has a bucket to follow", "--url"},
		"no pattern": {strings.ReplaceAll(virginia, "prod-use1", "prod"), Wish{Place: at(t, "aws/eu-south-2"), Bucket: "prod", URL: "https://prod.s3.us-east-1.amazonaws.com/containers/images/{digest}"},
			"the URL of s3-use1 does not spell its region", "--url"},
		"name": {strings.ReplaceAll(virginia, "name: s3-use1", "name: virginia"), Wish{Place: at(t, "aws/eu-south-2")}, "the name of virginia does not spell its region", "--name"},
		"taken": {virginia + "- {name: s3-eus2, cdn: fastly, url: 'https://x.example/{digest}', serves: all}\n", Wish{Place: at(t, "aws/eu-south-2")},
			"the store s3-eus2 has the same name", "--name"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Make(parse(t, tt.stores), tt.wish)
			r, ok := errors.AsType[*Refusal](err)
			if !ok || !strings.Contains(r.Reason, tt.want) || !strings.Contains(r.Hint, tt.hint) {
				t.Errorf("%v %q", err, fmt.Sprint(r))
			}
		})
	}
}

func TestOptIn(t *testing.T) {
	m := place.Embedded()
	for name, want := range map[string]bool{"aws/eu-south-2": true, "aws/us-east-1": false, "aws/us-gov-west-1": false, "aws/cn-north-1": false, "gcp/europe-west1": false, "aws/mx-central-1": true} {
		site, ok := m.Find(at(t, name))
		if !ok || OptIn(site) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
	for _, region := range alwaysOn {
		if _, ok := m.Find(place.Place{Cloud: "aws", Region: region}); !ok {
			t.Errorf("%s is not on the map", region)
		}
	}
}
