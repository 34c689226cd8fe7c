package bill

import (
	"math"
	"testing"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/price"
	"ociproxy/internal/traffic"
)

// book reads a config of one upstream in aws/us-west-2 and the given stores and stanzas.
func book(t testing.TB, rest string) *Book {
	t.Helper()
	cfg, err := config.Parse("f", []byte("version: 1\nlocation: aws/us-east-1\n"+
		"upstreams: [{name: main, url: 'https://r.example', place: aws/us-west-2, canonical: true}]\n"+rest))
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const stores = `
stores:
- {name: s3, place: aws/us-east-1, serves: [aws], url: 'https://a.s3.dualstack.us-east-1.amazonaws.com/{digest}', owner: "111122223333"}
- {name: s3-two, place: aws/us-east-1, serves: [aws], url: 'https://b.s3.dualstack.us-east-1.amazonaws.com/{digest}', owner: "222233334444"}
- {name: gcs, place: gcp/us-east1, serves: [gcp], url: 'https://storage.googleapis.com/a/{digest}'}
- {name: azure, place: azure/eastus, serves: [azure], url: 'https://a.blob.core.windows.net/c/{digest}'}
- {name: front, cdn: cloudfront, serves: [internet], url: 'https://a.cloudfront.net/{digest}', bucket: "s3://origin?region=us-east-2"}
- {name: fastly, cdn: fastly, serves: [internet], url: 'https://a.fastly.example/{digest}', bucket: "gs://origin"}
- {name: r2, cdn: cloudflare-r2, serves: [internet], url: 'https://a.r2.example/{digest}', bucket: "s3://b?region=auto&endpoint=https://x.r2.cloudflarestorage.com"}
- {name: wasabi, cdn: wasabi, serves: [internet], url: 'https://a.wasabi.example/{digest}'}
`

// alone says that each payer uses nothing besides, so that the tiers are known.
const alone = `
billing:
  accounts:
    "111122223333": {payer: org, otherUsageTB: 0, otherStorageTB: 0}
    "222233334444": {payer: org}
    rest: {stores: [gcs, azure, front, fastly, r2, wasabi, main], otherUsageTB: 0, otherStorageTB: 0}
`

var europe = place.Spot{Country: "DE"}

// TestKnownBills reproduces lines of bills, and examples that the providers publish, to the cent.
func TestKnownBills(t *testing.T) {
	b := book(t, stores+alone)
	gib, months := price.GiB.Times, price.GiBMonth.Times
	out := func(store string, at place.Spot) Meter { return b.Transfer(store, traffic.Client, place.Place{}, at) }
	ask := func(store string, op traffic.Operation) Meter { return b.Request(store, op, place.Place{}, europe) }
	for _, tc := range []struct {
		name     string
		meter    Meter
		quantity float64
		usd      float64
	}{
		// aws.amazon.com/s3/faqs, "How will I be charged": 52,900 GB-months in US East are $1,177.60 + $37.40.
		{"S3 storage", b.Storage("s3"), months(52_900), 1215.00},
		// The same page: 310,000 PUT requests are $1.55, 620,000 GET requests are $0.25.
		{"S3 PUT", ask("s3", traffic.Put), 310_000, 1.55},
		{"S3 GET", ask("s3", traffic.Get), 620_000, 0.25},
		// cloud.google.com/storage/pricing-examples, "Simple example": $1.00, $0.05, $0.02 and $0.12.
		{"GCS storage", b.Storage("gcs"), months(50), 1.00},
		{"GCS class A", ask("gcs", traffic.Put), 10_000, 0.05},
		{"GCS class B", ask("gcs", traffic.Get), 50_000, 0.02},
		{"GCS transfer", out("gcs", europe), gib(1), 0.12},
		// github.com/infracost/infracost/pull/350: 1,024 GB are $122.88, the next 9,216 GB $1,013.76, another 2,260 GB $180.80.
		{"GCS transfer, three tiers", out("gcs", europe), gib(12_500), 122.88 + 1013.76 + 180.80},
		// The same: 50 GB to China are $11.50.
		{"GCS to China", out("gcs", place.Spot{Country: "CN"}), gib(50), 11.50},
		// Azure retail prices, "Standard Data Transfer Out" of zone 1: tierMinimumUnits 0 at $0, 100 at $0.087 a GB.
		// 1 TB a month: 924 GB are billed.
		{"Azure transfer", out("azure", europe), gib(1024), 80.39},
		// developers.cloudflare.com/r2/pricing, "Standard storage example" and "Asset hosting".
		{"R2 storage", b.Storage("r2"), price.GBMonth.Times(1000), 14.85},
		{"R2 class B", ask("r2", traffic.Get), 300e6, 104.40},
		{"R2 class B in the allowance", ask("r2", traffic.Get), 1e6, 0},
		{"R2 egress", out("r2", europe), price.GB.Times(1000), 0},
		// fastly.com/pricing of 2026-09-20: 100 GB free, then $0.12 a GB in Europe.
		{"Fastly transfer", out("fastly", europe), price.GB.Times(1000), 108.00},
		// wasabi.com/pricing of 2026-07-01: $7.99 a TB and month.
		{"Wasabi storage", b.Storage("wasabi"), price.GBMonth.Times(1000), 7.99},
	} {
		bill := b.Bill([]Use{{tc.meter, tc.quantity}})
		if math.Abs(bill.USD-tc.usd) > 0.005 || !bill.Known() {
			t.Errorf("%s: $%.4f (%.4f to %.4f), want $%.2f for %v", tc.name, bill.USD, bill.Low, bill.High, tc.usd, tc.meter)
		}
	}
}

// TestKnownLadders reproduces bills of before the free allowances of today.
func TestKnownLadders(t *testing.T) {
	b := book(t, stores)
	for _, tc := range []struct {
		name           string
		store          string
		at             place.Spot
		from, quantity float64 // GiB
		usd            float64
	}{
		// aws.amazon.com/s3/faqs, "Data transfer out example": 62 TB of S3 and EC2 together, 1 GB of it free:
		// $921.51 + $3,481.60 + $860.16.
		{"S3", "s3", europe, 1, 63_487, 5263.27},
		// github.com/infracost/infracost/pull/323, Australia: the first 10,240 GB at 0.114, 40,960 GB at 0.098 are $4,014.08.
		{"CloudFront", "front", place.Spot{Country: "AU"}, 10_240, 40_960, 4014.08},
	} {
		l := b.rate(b.Transfer(tc.store, traffic.Client, place.Place{}, tc.at)).ladder
		if got := l.Bill(price.GiB.Times(tc.from), price.GiB.Times(tc.quantity)); math.Abs(got-tc.usd) > 0.005 {
			t.Errorf("%s: $%.4f, want $%.2f", tc.name, got, tc.usd)
		}
	}
}
