package focus

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"ociproxy/internal/config"
)

// sample is cost data in the shape of a provider's export. The columns are those that the specification demands of each
// version, and those that the provider adds.
type sample struct {
	header []string
	rows   [][]string
	with   map[string]string // the values of every row
}

// mandatory are the columns that every version demands.
var mandatory = []string{"BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart",
	"ChargeCategory", "ChargeClass", "ChargeDescription", "ChargePeriodEnd", "ChargePeriodStart", "ConsumedQuantity", "ConsumedUnit",
	"ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost", "PricingCategory", "PricingQuantity", "PricingUnit", "RegionId",
	"ResourceId", "ServiceCategory", "ServiceName", "SkuId", "SkuPriceId", "SubAccountId", "Tags"}

// brought are the columns that versions brought.
var brought = map[string][]string{
	"1.1": {"CapacityReservationId", "ServiceSubcategory", "SkuMeter", "SkuPriceDetails"},
	"1.2": {"BillingAccountType", "InvoiceId", "PricingCurrency", "SubAccountType"},
	"1.3": {"HostProviderName", "ServiceProviderName"},
	"1.4": {"InvoiceDetailId"},
}

// shape returns cost data of a provider with no rows.
func shape(provider, version string) *sample {
	s := &sample{header: slices.Clone(mandatory), with: map[string]string{
		"BillingAccountId": "payer-1", "BillingCurrency": "USD", "ChargeCategory": "Usage",
		"BillingPeriodStart": "2026-10-01T00:00:00Z", "BillingPeriodEnd": "2026-11-01T00:00:00Z",
		"ChargePeriodStart": "2026-10-01T00:00:00Z", "ChargePeriodEnd": "2026-11-01T00:00:00Z",
		"Tags": `{"team":"registry, ""images"""}`,
	}}
	for _, v := range slices.Sorted(maps.Keys(brought)) {
		if v <= version {
			s.header = append(s.header, brought[v]...)
		}
	}
	if version < "1.4" {
		s.header = append(s.header, "ProviderName", "PublisherName")
	}
	names := map[string]string{"aws": "AWS", "azure": "Microsoft", "gcp": "Google Cloud"}
	for _, c := range []string{"ProviderName", "PublisherName", "ServiceProviderName", "HostProviderName", "InvoiceIssuerName"} {
		s.with[c] = names[provider]
	}
	switch provider {
	case "aws":
		s.header = append(s.header, "x_Operation", "x_ServiceCode", "x_UsageType")
		s.with["ServiceName"], s.with["x_ServiceCode"], s.with["SubAccountId"] = "Amazon Simple Storage Service", "AmazonS3", "111122223333"
	case "azure":
		s.header = append(s.header, "x_PricingBlockSize", "x_SkuMeterCategory", "x_SkuMeterName")
		s.with["ServiceName"], s.with["x_SkuMeterCategory"], s.with["SubAccountId"] = "Storage Accounts", "Storage", "/subscriptions/0b1f"
	case "gcp":
		s.header = append(s.header, "x_CostType", "x_CurrencyConversionRate")
		s.with["ServiceName"] = "Cloud Storage"
	}
	return s
}

// row adds a row with some values.
func (s *sample) row(values map[string]string) *sample {
	var row []string
	for _, c := range s.header {
		v, ok := values[c]
		if !ok {
			v = s.with[c]
		}
		row = append(row, v)
	}
	s.rows = append(s.rows, row)
	return s
}

func costs(v map[string]string, usd string) map[string]string {
	for _, c := range []string{"BilledCost", "EffectiveCost", "ListCost", "ContractedCost"} {
		if _, ok := v[c]; !ok {
			v[c] = usd
		}
	}
	return v
}

// s3 adds a row of a bucket.
func (s *sample) s3(bucket, region, usageType, n, unit, usd string) *sample {
	return s.row(costs(map[string]string{"ResourceId": bucket, "RegionId": region, "x_UsageType": usageType, "SkuMeter": usageType,
		"ConsumedQuantity": n, "ConsumedUnit": unit, "PricingQuantity": n, "PricingUnit": unit}, usd))
}

// gcs adds a row of a bucket in Google's view.
func (s *sample) gcs(bucket, region, sku, n, unit, usd string) *sample {
	return s.row(costs(map[string]string{"ResourceId": "//storage.googleapis.com/projects/_/buckets/" + bucket, "RegionId": region,
		"ChargeDescription": sku, "ChargeCategory": "usage", "ConsumedQuantity": n, "ConsumedUnit": unit, "PricingQuantity": "1", "PricingUnit": "gibibyte"}, usd))
}

// blob adds a row of an account of Azure Storage.
func (s *sample) blob(account, region, meter, n, unit, usd string) *sample {
	return s.row(costs(map[string]string{"ResourceId": "/subscriptions/0b1f/resourceGroups/RG/providers/Microsoft.Storage/storageAccounts/" + account,
		"RegionId": region, "x_SkuMeterName": meter, "ConsumedQuantity": n, "ConsumedUnit": unit, "PricingQuantity": n, "PricingUnit": unit}, usd))
}

func (s *sample) csv() []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write(s.header)
	_ = w.WriteAll(s.rows)
	return b.Bytes()
}

func zipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// filed writes a file of a test and returns its name.
func filed(t testing.TB, name string, data []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// world is a config with a store of each provider, two containers in one account, and a CDN.
func world(t testing.TB) *config.Config {
	t.Helper()
	cfg, err := config.Parse("config.yaml", []byte(`
version: 1
upstreams:
  - {name: main, url: "https://registry.example.org", place: gcp/europe-west1, canonical: true}
stores:
  - {name: s3-use1, place: aws/us-east-1, url: "https://layers-use1.s3.us-east-1.amazonaws.com/{digest}", bucket: "s3://layers-use1?region=us-east-1", owner: "111122223333", serves: [aws]}
  - {name: s3-euc1, place: aws/eu-central-1, url: "https://layers-euc1.s3.eu-central-1.amazonaws.com/{digest}", bucket: "s3://layers-euc1?region=eu-central-1", owner: "111122223333", serves: [aws]}
  - {name: gcs, place: gcp/europe-west1, url: "https://storage.googleapis.com/layers-gcs/{digest}", bucket: "gs://layers-gcs", serves: [gcp]}
  - {name: blob-a, place: azure/westeurope, url: "https://layersacct.blob.core.windows.net/a/{digest}", bucket: "azblob://layersacct/a", serves: [azure]}
  - {name: blob-b, place: azure/westeurope, url: "https://layersacct.blob.core.windows.net/b/{digest}", bucket: "azblob://layersacct/b", serves: [azure]}
  - {name: edge, cdn: cloudfront, url: "https://d111.cloudfront.net/{digest}", check: "https://origin-use1.s3.us-east-1.amazonaws.com/{digest}", bucket: "s3://origin-use1?region=us-east-1", serves: [internet]}
`))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// later is long after the months of the tests.
var later = time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)

// read reads files into a bill.
func read(t testing.TB, opt Options, names ...string) *Bill {
	t.Helper()
	if opt.Now.IsZero() {
		opt.Now = later
	}
	b, err := Read(t.Context(), world(t), names, opt)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// lineOf returns the line of a store and kind.
func lineOf(t testing.TB, c *Comparison, store string, kind Kind) Line {
	t.Helper()
	for _, l := range c.Lines {
		if l.Store == store && l.Kind == kind {
			return l
		}
	}
	t.Fatalf("no line of %s, %s", store, kind)
	return Line{}
}
