package report

import (
	"bytes"
	"encoding/csv"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"ociproxy/internal/bill"
	"ociproxy/internal/focus"
)

// tiers has the price lists with their tiers and allowances, discounts, prices of its own, accounts with and without one
// payer, and a CDN.
const tiersText = `version: 1
location: gcp/us-central1
upstreams:
  - {name: main, url: "https://us-docker.pkg.dev", place: gcp/us-central1, canonical: true}
stores:
  - {name: s3-use1, place: aws/us-east-1, url: "https://a.example/{digest}", serves: [aws], owner: "111122223333"}
  - {name: s3-euc1, place: aws/eu-central-1, url: "https://b.example/{digest}", serves: [aws], owner: "444455556666"}
  - {name: gcs-us, place: gcp/us-central1, url: "https://c.example/{digest}", serves: [gcp]}
  - {name: edge, cdn: cloudfront, url: "https://d.example/{digest}", owner: "111122223333", serves: [internet]}
billing:
  accounts:
    "111122223333": {payer: org, otherUsageTB: 9, otherStorageTB: 40, discount: 12.5%}
    "444455556666": {payer: org}
  prices:
    - {item: internet, store: gcs-us, to: europe, discount: 33%}
    - {item: requests-read, account: "444455556666", cents: 0}
  stored: {s3-use1: {TB: 5, noncurrentTB: 0.3, logsTB: 0.01}, edge: {TB: 700}}
  fronts: [{provider: aws, account: "111122223333", instances: 3, balancers: 1, rules: 5}]
  fixed: [{name: support, usd: 29}, {name: support, usd: 1}]
`

// TestChargesAreTheBill: the rows of report focus sum to the bill of report for each month and store, whatever the rows,
// tiers, discounts and accounts are, and what they would have cost without the proxy to the bill without it.
func TestChargesAreTheBill(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for _, text := range []string{worldText, tiersText} {
		cfg := parse(t, text)
		book, err := bill.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 30 {
			in := input(t, "2026-10-05", "2026-11-20", randomRows(t, random))
			in.Config, in.Book, in.Per, in.Charges = cfg, book, []Per{PerDay, PerMonth}[i%2], true
			r, err := Make(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := focus.Write(&out, r.Charges()); err != nil {
				t.Fatal(err)
			}
			got := costsOf(t, out.Bytes())
			for _, m := range r.Months {
				want := map[string]float64{}
				for _, l := range m.Lines {
					want[l.Store] += l.USD
				}
				for store, usd := range want {
					if sum := got[[2]string{m.Month, store}]; math.Abs(sum-usd) > 1e-6*max(1, usd) {
						t.Errorf("%s %s: the rows have $%g, the bill $%g", m.Month, store, sum, usd)
					}
					delete(got, [2]string{m.Month, store})
				}
				without := got[[2]string{m.Month, "without"}]
				if delete(got, [2]string{m.Month, "without"}); math.Abs(without-m.Without.USD) > 1e-6*max(1, without) {
					t.Errorf("%s: without the proxy the rows have $%g, the bill $%g", m.Month, without, m.Without.USD)
				}
			}
			if len(got) > 0 {
				t.Errorf("the bill has none of %v", got)
			}
		}
	}
}

// costsOf sums cost data by month and store, and what it would have cost without the proxy by month.
func costsOf(t *testing.T, text []byte) map[[2]string]float64 {
	t.Helper()
	records, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	of := func(r []string, column string) string { return r[slices.Index(records[0], column)] }
	out := map[[2]string]float64{}
	for _, r := range records[1:] {
		month := of(r, "BillingPeriodStart")[:len("2026-10")]
		usd, err := strconv.ParseFloat(of(r, "EffectiveCost"), 64)
		if err != nil {
			t.Fatal(err)
		}
		out[[2]string{month, of(r, "x_Store")}] += usd
		if text := of(r, "x_CostWithoutProxy"); text != "" {
			if usd, err = strconv.ParseFloat(text, 64); err != nil {
				t.Fatal(err)
			}
			out[[2]string{month, "without"}] += usd
		}
	}
	return out
}
