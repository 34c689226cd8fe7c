package bill

import (
	"math"
	"math/rand/v2"
	"testing"

	"ociproxy/internal/place"
	"ociproxy/internal/price"
	"ociproxy/internal/traffic"
)

func close(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, math.Abs(a), math.Abs(b)) }

// meters are all transfers, requests and storage of the stores of the tests.
func meters(b *Book) []Meter {
	var out []Meter
	for _, store := range []string{"s3", "s3-two", "gcs", "azure", "front", "fastly", "r2", "main"} {
		for _, at := range []place.Spot{europe, {Country: "CN"}, {Country: "AU"}, {Country: "BR"}} {
			for _, client := range []place.Place{{}, {Cloud: "aws", Region: "us-west-1"}, {Cloud: "gcp", Region: "us-east4"}} {
				for _, class := range traffic.Classes() {
					bytes, requests := b.Meters(&traffic.Key{Client: client, Store: store, Class: class, Operation: traffic.Get}, at)
					out = append(out, bytes, requests)
				}
			}
		}
		out = append(out, b.Storage(store))
	}
	return out
}

// TestRowsSumToTheBill: whatever the totals, quantity × rate of the rows is the bill, a bill of several accounts of one
// payer is the bill of the sum in one ladder, and USD is between Low and High.
func TestRowsSumToTheBill(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for name, config := range map[string]string{
		"unknown": stores, "known": stores + alone, "discount": stores + `
billing:
  accounts: {"111122223333": {payer: org, discount: 40%, otherUsageTB: 30}, "222233334444": {payer: org}}
  prices: [{item: cdn, provider: cloudfront, cents: 1.5}, {item: requests-read, discount: '10%'}]`,
	} {
		b := book(t, config)
		all := meters(b)
		for range 300 {
			var rows []Use
			for range 1 + rng.IntN(40) {
				// From a byte to some petabytes.
				rows = append(rows, Use{all[rng.IntN(len(all))], math.Floor(math.Pow(10, 16*rng.Float64()))})
			}
			bill := b.Bill(rows)
			var sum float64
			for _, r := range rows {
				sum += r.Quantity * bill.Rate(r.Meter)
			}
			if !close(sum, bill.USD) || math.Abs(sum-bill.USD) >= 0.005 {
				t.Fatalf("%s: rows sum to $%f, the bill is $%f", name, sum, bill.USD)
			}
			if bill.Low > bill.USD+1e-6 || bill.High < bill.USD-1e-6 || name == "known" && !bill.Known() {
				t.Fatalf("%s: $%f is not within %f to %f", name, bill.USD, bill.Low, bill.High)
			}
			again := b.Bill(append(append([]Use{}, rows[len(rows)/2:]...), rows[:len(rows)/2]...))
			if !close(again.USD, bill.USD) {
				t.Fatalf("%s: $%f, in another order $%f", name, bill.USD, again.USD)
			}
		}
	}
}

// TestOneLadderForAPayer: two accounts of one payer, and two stores of one region, use one ladder; another payer another.
func TestOneLadderForAPayer(t *testing.T) {
	tb := price.TiB.Times(40)
	to := func(b *Book, store string) Use {
		return Use{b.Transfer(store, traffic.Client, place.Place{}, europe), tb}
	}
	one := book(t, stores+alone)
	both := one.Bill([]Use{to(one, "s3"), to(one, "s3-two")})
	whole := one.Bill([]Use{{to(one, "s3").Meter, 2 * tb}})
	if !close(both.USD, whole.USD) || len(both.Lines) != 2 || !close(both.Lines[0].USD, both.Lines[1].USD) {
		t.Errorf("two accounts of a payer pay $%f, one account $%f", both.USD, whole.USD)
	}
	two := book(t, stores)
	if apart := two.Bill([]Use{to(two, "s3"), to(two, "s3-two")}); apart.USD <= both.USD {
		t.Errorf("two payers pay $%f, one payer $%f", apart.USD, both.USD)
	}
}

// TestWhereALadderBegins: the configuration says it, for all regions or one, and the provider's bill says it better.
func TestWhereALadderBegins(t *testing.T) {
	billing := func(keys string) string {
		return stores + "billing: {accounts: {\"111122223333\": {" + keys + "}}}\n"
	}
	one := price.TiB.Times(1)
	for _, tc := range []struct {
		name, keys     string
		before         float64 // TiB; 0: no bill
		usd, low, high float64
	}{
		// A TiB of which 100 GiB are free, and a whole one.
		{"unknown", "", 0, 924 * 0.09, 924 * 0.05, 1024 * 0.09},
		{"nothing else", "otherUsageTB: 0", 0, 924 * 0.09, 924 * 0.09, 924 * 0.09},
		{"second tier", "otherUsageTB: 20", 0, 1024 * 0.085, 1024 * 0.085, 1024 * 0.085},
		{"last tier", "otherUsageTB: 5000", 0, 1024 * 0.05, 1024 * 0.05, 1024 * 0.05},
		{"over a limit", "otherUsageTB: 49.5", 0, 612*0.085 + 412*0.07, 612*0.085 + 412*0.07, 612*0.085 + 412*0.07}, // the allowance is used up by others
		{"one region", "otherUsageTB: 0, otherUsageAt: {us-east-1: 20}", 0, 1024 * 0.085, 1024 * 0.085, 1024 * 0.085},
		{"another region", "otherUsageTB: 20, otherUsageAt: {us-east-2: 0}", 0, 1024 * 0.085, 1024 * 0.085, 1024 * 0.085},
		{"the bill", "otherUsageTB: 0", 60, 1024 * 0.07, 1024 * 0.07, 1024 * 0.07},
		{"a discount", "otherUsageTB: 20, discount: 40%", 0, 1024 * 0.051, 1024 * 0.051, 1024 * 0.051},
		{"a sponsor", "discount: 100%", 0, 0, 0, 0},
	} {
		b := book(t, billing(tc.keys))
		m := b.Transfer("s3", traffic.Client, place.Place{}, europe)
		var before Before
		if tc.before > 0 {
			before = Before{b.ScopeOf(m): price.TiB.Times(tc.before)}
		}
		bill := b.BillAfter([]Use{{m, one}}, before)
		if !near(bill.USD, tc.usd) || !near(bill.Low, tc.low) || !near(bill.High, tc.high) {
			t.Errorf("%s: $%f (%f to %f), want %f (%f to %f)", tc.name, bill.USD, bill.Low, bill.High, tc.usd, tc.low, tc.high)
		}
	}
}

// near is to the cent.
func near(a, b float64) bool { return math.Abs(a-b) < 0.005 }

// TestOwnPrices: a price of billing.prices comes first, then the price of the store, then that of its place, then the list.
func TestOwnPrices(t *testing.T) {
	base := "places: {aws/us-east-1: {price: {internet: 4}}}\n" + stores
	gib := price.GiB.Times(1)
	for _, tc := range []struct {
		name, config string
		usd          float64
		basis        string
	}{
		{"the place", base, 0.04, BasisConfig},
		{"a discount of the account does not touch it", base + "billing: {accounts: {\"111122223333\": {discount: 50%}}}", 0.04, BasisConfig},
		{"cents", base + "billing: {prices: [{item: internet, cents: 2}]}", 0.02, BasisConfig},
		{"in GB", base + "billing: {prices: [{item: internet, cents: 2, unit: GB}]}", 0.02 * 1.073741824, BasisConfig},
		{"the first counts", base + "billing: {prices: [{item: internet, store: s3, cents: 0}, {item: internet, cents: 2}]}", 0, BasisConfig},
		{"of another region", base + "billing: {prices: [{item: internet, from: us-east-2, cents: 0}]}", 0.04, BasisConfig},
		{"of another item", base + "billing: {prices: [{item: cdn, cents: 0}]}", 0.04, BasisConfig},
		{"off the list", base + "billing: {prices: [{item: internet, account: \"111122223333\", provider: aws, discount: 10%}]}", 0.081, BasisDiscount},
	} {
		b := book(t, tc.config)
		m := b.Transfer("s3", traffic.Client, place.Place{}, europe)
		// Beyond the free allowance, which contracts do not have.
		bill := b.BillAfter([]Use{{m, gib}}, Before{b.ScopeOf(m): price.TiB.Times(1)})
		if l := bill.Lines[0]; !near(bill.USD, tc.usd) || l.Basis != tc.basis || l.Estimate || !near(l.ListUSD, 0.09) {
			t.Errorf("%s: $%f by %s, listed $%f; want $%f by %s", tc.name, bill.USD, l.Basis, l.ListUSD, tc.usd, tc.basis)
		}
		if got := b.Marginal(m, 0) * gib; !near(got, tc.usd) {
			t.Errorf("%s: the next GiB costs $%f, want $%f", tc.name, got, tc.usd)
		}
	}
}

// TestMeters: what each class of request is billed as.
func TestMeters(t *testing.T) {
	b := book(t, stores)
	away, here := place.Place{}, place.Place{Cloud: "aws", Region: "us-east-1"}
	for _, tc := range []struct {
		store           string
		class           traffic.Class
		op              traffic.Operation
		client          place.Place
		bytes, requests string
	}{
		{"s3", traffic.Client, traffic.Get, away, "aws internet us-east-1 ", "aws requests-read us-east-1 "},
		{"s3", traffic.Client, traffic.Get, here, "aws free  ", "aws requests-read us-east-1 "},
		{"s3", traffic.Endpoint, traffic.Head, away, "aws free  ", "aws requests-read us-east-1 "},
		{"s3", traffic.Own, traffic.List, away, "aws internet us-east-1 ", "aws requests-write us-east-1 "},
		{"s3", traffic.Copy, traffic.CopyOf, place.Place{Cloud: "aws", Region: "us-west-1"}, "aws same-cloud us-east-1 ", "aws requests-write us-east-1 "},
		{"s3", traffic.Lifecycle, traffic.Delete, away, "aws free  ", "aws free  "},
		{"front", traffic.Client, traffic.Get, here, "cloudfront cdn  us-mx-ca", "cloudfront requests-cdn  us-mx-ca"},
		{"front", traffic.Origin, traffic.Get, away, "cloudfront fill aws ", "aws requests-read us-east-2 "},
		{"front", traffic.Own, traffic.Put, away, "aws internet us-east-2 ", "aws requests-write us-east-2 "},
		{"fastly", traffic.Origin, traffic.Get, away, "gcp internet  worldwide", "gcp requests-read  "},
		{"r2", traffic.Client, traffic.Get, here, "cloudflare-r2 cdn  world", "cloudflare-r2 requests-read  "},
		{"main", traffic.Client, traffic.Get, here, "aws same-cloud us-west-2 ", "aws free  "},
		{"gone", traffic.Client, traffic.Get, here, " unpriced  ", " unpriced  "},
	} {
		at := place.Spot{}
		if tc.client == away && tc.store == "front" {
			at = europe
		}
		bytes, requests := b.Meters(&traffic.Key{Client: tc.client, Store: tc.store, Class: tc.class, Operation: tc.op}, at)
		show := func(m Meter) string { return m.Provider + " " + m.Item + " " + m.From + " " + m.To }
		if show(bytes) != tc.bytes || show(requests) != tc.requests {
			t.Errorf("%s %s %s: %q, %q; want %q, %q", tc.store, tc.class, tc.op, show(bytes), show(requests), tc.bytes, tc.requests)
		}
	}
	if got := b.Storage("front"); got.Provider != "aws" || got.From != "us-east-2" {
		t.Errorf("storage of a CDN's bucket: %v", got)
	}
	if terms, ok := b.Terms("wasabi"); !ok || terms.Days != 90 {
		t.Errorf("terms of Wasabi: %v %v", terms, ok)
	}
}

// TestStanding: what the configuration says is used each month.
func TestStanding(t *testing.T) {
	b := book(t, stores+`
log: {requests: 0.5}
billing:
  stored: {s3: {TB: 10, noncurrentTB: 1, logsTB: 1}}
  fronts: [{provider: gcp, instances: 3, balancers: 1, rules: 2}, {provider: aws, instances: 1}]
  fixed: [{name: support, usd: 99.5}]
`)
	got := map[string]float64{}
	for _, u := range b.Standing(Demand{Months: 0.5, Requests: 8e6}) {
		got[u.Meter.Provider+" "+u.Meter.Item] += u.Quantity
	}
	want := map[string]float64{
		"aws storage": 5e12, "aws storage-noncurrent": 5e11, "aws storage-logs": 5e11,
		"gcp front-instance": 3 * 365, "gcp front-balancer": 365, "gcp front-rules": 1, "gcp front-requests": 6e6, "gcp front-bytes": 6e6 * 600,
		"gcp front-logs": 6e6 * 0.5 * 700, "aws front-instance": 365, "aws front-logs": 2e6 * 0.5 * 700, " fixed": 49.75,
	}
	for k, v := range want {
		if !close(got[k], v) {
			t.Errorf("%s: %v, want %v", k, got[k], v)
		}
		delete(got, k)
	}
	if len(got) > 0 {
		t.Errorf("also %v", got)
	}
	bill := b.Bill(b.Standing(Demand{Months: 1}))
	for _, l := range bill.Lines {
		if l.Basis == BasisUnpriced || l.USD <= 0 || l.Source == "" {
			t.Errorf("%v costs $%f by %s", l.Meter, l.USD, l.Basis)
		}
	}
	// 12 TB in one class of storage: old versions and logs count in the same ladder.
	if s := b.ScopeOf(bill.Lines[len(bill.Lines)-1].Meter); s.Item != Stored {
		t.Errorf("scope %v", s)
	}
}

// TestTiersOff: route.monthlyTB is compared with what was sent.
func TestTiersOff(t *testing.T) {
	for _, tc := range []struct {
		route, billing string
		sent           float64 // TiB
		want           int
	}{
		{"", "", 5, 0}, {"", "", 20, 1}, {"", "", 200, 3}, {"route: {monthlyTB: 200}\n", "", 200, 0}, {"route: {monthlyTB: 200}\n", "", 1, -3},
		{"route: {monthlyTB: 10}\n", "", 10, 0}, {"", "billing: {accounts: {\"111122223333\": {otherUsageTB: 60}}}\n", 1, 2},
	} {
		b := book(t, stores+tc.route+tc.billing)
		m := b.Transfer("s3", traffic.Client, place.Place{}, europe)
		off, at := b.TiersOff(b.Bill([]Use{{m, price.TiB.Times(tc.sent)}, {b.Storage("s3"), 1e15}}))
		if off != tc.want || off != 0 && at != m {
			t.Errorf("%q %q %v TiB: %d tiers at %v, want %d", tc.route, tc.billing, tc.sent, off, at, tc.want)
		}
	}
}
