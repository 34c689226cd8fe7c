package infra

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/config"
)

// parse returns a config with these stores.
func parse(t *testing.T, stores string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("config.yaml", []byte(`version: 1
location: aws/us-east-1
client: {behind: google-lb}
names:
  - {hosts: [registry.example.org, www.example.org]}
  - {hosts: [old.example.org], role: legacy}
ranges: {seed: seed, feeds: [{provider: aws}]}
places: {azure/chinaeast2: {lat: 31, lon: 121, country: CN}}
upstreams:
  - {name: main, url: "https://main.example.org", place: aws/us-east-1, canonical: true}
stores:
`+stores))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

const (
	s3    = "  - {name: s3, place: aws/us-east-1, url: 'https://use1.s3.dualstack.us-east-1.amazonaws.com/containers/images/{digest}', bucket: 's3://use1?region=us-east-1', owner: '123456789012', inventory: {url: 'https://use1.s3.dualstack.us-east-1.amazonaws.com/inventory/'}, serves: [aws, internet], state: draining}\n"
	gov   = "  - {name: gov, place: aws/us-gov-west-1, url: 'https://gov.s3.dualstack.us-gov-west-1.amazonaws.com/{digest}', bucket: 's3://gov?region=us-gov-west-1', serves: [aws]}\n"
	gcs   = "  - {name: gcs, place: gcp/europe-west1, url: 'https://storage.googleapis.com/eu/{digest}', bucket: 'gs://eu', owner: '4711', serves: [gcp], state: 'off'}\n"
	azure = "  - {name: az, place: azure/westeurope, url: 'https://layers.blob.core.windows.net/c/{digest}', bucket: 'azblob://layers/c', serves: [azure]}\n"
	r2    = "  - {name: r2, cdn: cloudflare-r2, url: 'https://r2.example.org/{digest}', bucket: 's3://r2?region=auto&endpoint=https://0123.eu.r2.cloudflarestorage.com', serves: [internet]}\n"
)

func TestExport(t *testing.T) {
	got, left, err := Export(parse(t, s3+gov+gcs+azure+r2))
	if err != nil || left != nil {
		t.Fatal(left, err)
	}
	want := &Variables{
		AWS: Accounts{
			"aws/123456789012": {"s3": {
				Bucket: "use1", Region: "us-east-1", Place: "aws/us-east-1", Host: "use1.s3.dualstack.us-east-1.amazonaws.com", State: "draining",
				Inventory: true, Serves: []string{"internet", "aws"},
			}},
			"aws-us-gov": {"gov": {
				Bucket: "gov", Region: "us-gov-west-1", Place: "aws/us-gov-west-1", Host: "gov.s3.dualstack.us-gov-west-1.amazonaws.com", State: "active",
				Serves: []string{"aws"},
			}},
		},
		GCP: Accounts{"4711": {"gcs": {
			Bucket: "eu", Region: "europe-west1", Place: "gcp/europe-west1", Host: "storage.googleapis.com", State: "off", Serves: []string{"gcp"},
		}}},
		Azure: Accounts{"layers": {"az": {
			Bucket: "layers", Container: "c", Region: "westeurope", Place: "azure/westeurope", Host: "layers.blob.core.windows.net", State: "active",
			Serves: []string{"azure"},
		}}},
		R2: Accounts{"0123": {"r2": {Bucket: "r2", Region: "auto", Host: "r2.example.org", CDN: true, State: "active", Serves: []string{"internet"}}}},
		Front: Front{
			Names:  []Name{{"registry.example.org", "primary"}, {"www.example.org", "primary"}, {"old.example.org", "legacy"}},
			Behind: "google-lb", Ready: "/-/ready", Port: 8080, AdminPort: 9090, DrainSeconds: 20, IdleSeconds: 650,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	text, err := got.Encode()
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := Export(parse(t, r2+azure+gcs+gov+s3))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := other.Encode(); err != nil || string(again) != string(text) {
		t.Errorf("the order of the stores counts: %v\n%s", err, cmp.Diff(string(text), string(again)))
	}
	back, err := ParseVariables(text)
	if err != nil || !cmp.Equal(want, back) {
		t.Errorf("%v\n%s", err, cmp.Diff(want, back))
	}
}

// Stores that no module can make are named with the reason.
func TestLeftOut(t *testing.T) {
	for stores, want := range map[string]string{
		"  - {name: x, cdn: fastly, url: 'https://a.example/{digest}', serves: [internet]}\n":                                                                                "the config names no bucket",
		"  - {name: x, place: aws/us-east-1, url: 'https://a.example/{digest}', bucket: 'file:///srv', serves: [aws]}\n":                                                     "a directory",
		"  - {name: x, place: aws/us-east-1, url: 'https://a.example/{digest}', bucket: 's3://b?region=us-east-1&endpoint=http://minio.example:9000', serves: [aws]}\n":      "at an endpoint of its own, http://minio.example:9000",
		"  - {name: x, place: gcp/us-east4, url: 'https://a.example/{digest}', bucket: 'gs://b?endpoint=http://fake.example', serves: [gcp]}\n":                              "at an endpoint of its own",
		"  - {name: x, place: gcp/us-east4, url: 'https://a.example/{digest}', bucket: 'gs://b/deep/inside', serves: [gcp]}\n":                                               "below deep/inside/ of the bucket",
		"  - {name: x, cdn: google-cloud-cdn, url: 'https://a.example/{digest}', bucket: 'gs://b', serves: [internet]}\n":                                                    "it has no place",
		"  - {name: x, place: azure/chinaeast2, url: 'https://a.example/{digest}', bucket: 'azblob://layers/c', serves: [azure]}\n":                                          "azure-china",
		"  - {name: x, cdn: cloudflare-r2, url: 'https://a.example/{digest}', bucket: 's3://b?region=auto&endpoint=https://1.xx.r2.cloudflarestorage.com', serves: [all]}\n": "at an endpoint of its own",
	} {
		v, left, err := Export(parse(t, stores+s3))
		if err != nil || len(left) != 1 || left[0].Store != "x" || !strings.Contains(left[0].Reason, want) {
			t.Errorf("%s%v, %v; want %q", stores, left, err, want)
		} else if len(v.AWS) != 1 {
			t.Errorf("%sthe other store is not there", stores)
		}
	}
}

// A config that contradicts itself about a bucket is refused, with the line and what to do.
func TestRefused(t *testing.T) {
	const url = "url: 'https://a.example/{digest}', serves: [aws]"
	for stores, want := range map[string]string{
		"  - {name: x, place: aws/us-east-1, " + url + ", bucket: 's3://b'}\n":                                                                                        `stores[0].bucket: the bucket's URL does not say its region|write "s3://b?region=us-east-1"`,
		"  - {name: x, cdn: cloudfront, " + url + ", bucket: 's3://b'}\n":                                                                                             "does not say its region|add ?region=REGION",
		"  - {name: x, place: aws/us-east-1, " + url + ", bucket: 's3://b?region=us-west-2'}\n":                                                                       "the bucket is in aws/us-west-2, the place is aws/us-east-1",
		"  - {name: x, place: gcp/us-east4, " + url + ", bucket: 's3://b?region=us-east-1'}\n":                                                                        "the bucket is one of Amazon, the place is gcp/us-east4",
		"  - {name: x, place: aws/us-east-1, " + url + ", bucket: 'gs://b'}\n":                                                                                        "the bucket is one of Google, the place is aws/us-east-1",
		"  - {name: x, place: aws/us-east-1, " + url + ", bucket: 'azblob://layers/c'}\n":                                                                             "the bucket is one of Azure",
		"  - {name: x, place: azure/westeurope, " + url + ", bucket: 'azblob://Layers/c'}\n":                                                                          "lower-case letters and digits only|write azblob://layers/c",
		"  - {name: x, place: aws/us-east-1, url: 'https://other.s3.dualstack.us-east-1.amazonaws.com/{digest}', serves: [aws], bucket: 's3://b?region=us-east-1'}\n": "stores[0].url: clients are sent to the bucket other, and the mirror writes to b",
		s3 + "  - {name: x, place: aws/us-east-1, " + url + ", bucket: 's3://use1?region=us-east-1&pathStyle=false'}\n":                                               "stores[1].bucket: the bucket is that of s3|give each store a bucket of its own",
		"  - {name: x, place: aws/us-east-1, " + url + ", bucket: 's3://b?bad=1'}\n":                                                                                  "unknown parameter",
	} {
		_, _, err := Export(parse(t, stores))
		faults, ok := errors.AsType[*config.Errors](err)
		if !ok || len(faults.List) != 1 {
			t.Errorf("%s%v", stores, err)
			continue
		}
		message, hint, _ := strings.Cut(want, "|")
		f := faults.List[0]
		if !strings.Contains(f.Error(), message) || !strings.Contains(f.Hint, hint) || f.Line < 12 {
			t.Errorf("%sline %d: %v, hint %s; want %q", stores, f.Line, f, f.Hint, want)
		}
	}
}

// An apply would destroy a bucket that went elsewhere.
func TestLost(t *testing.T) {
	of := func(stores string) *Variables {
		v, _, err := Export(parse(t, stores))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	was := of(s3 + gcs + azure)
	for _, c := range []struct{ stores, want string }{
		{s3 + gcs + azure + r2, ""},
		{strings.Replace(s3, "draining", "'off'", 1) + gcs + azure, ""},
		{s3 + gcs, "azure_stores layers az layers/c"},
		{strings.Replace(s3, "123456789012", "210987654321", 1) + gcs + azure, "aws_stores aws/123456789012 s3 use1"},
		{s3 + strings.Replace(gcs, "europe-west1", "europe-west3", 1) + azure, "gcp_stores 4711 gcs eu"},
	} {
		var got []string
		for _, w := range of(c.stores).Lost(was) {
			got = append(got, strings.Join([]string{w.Variable, w.Account, w.Store, w.Bucket}, " "))
		}
		if strings.Join(got, "\n") != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestParseVariablesRefuses(t *testing.T) {
	for _, text := range []string{``, `[]`, `{"aws_stores": {}, "other_stores": {}}`, `{} {}`, `{`} {
		if v, err := ParseVariables([]byte(text)); err == nil {
			t.Errorf("%q: %+v", text, v)
		}
	}
}

// Every config of the repository can be exported.
func TestExamples(t *testing.T) {
	names, err := filepath.Glob("../../examples/*.yaml")
	if err != nil || len(names) < 4 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Parse(name, text)
		if err != nil {
			t.Fatal(err)
		}
		v, left, err := Export(cfg)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if len(v.Buckets())+len(left) != len(cfg.Stores) {
			t.Errorf("%s: %d buckets and %d left out, of %d stores", name, len(v.Buckets()), len(left), len(cfg.Stores))
		}
	}
}
