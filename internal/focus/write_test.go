package focus

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/bill"
	"ociproxy/internal/place"
	"ociproxy/internal/price"
)

func someCharges() []Charge {
	start, end := october.Time(), november.Time()
	return []Charge{
		{Start: start, End: end, Meter: bill.Meter{Account: "111122223333", Store: "s3-use1", Provider: "aws", Item: bill.Internet, From: "us-east-1"},
			Unit: price.GiB, Client: place.Place{Cloud: "gcp", Region: "us-east1"}, Quantity: 12345678901234, List: 1034.812, USD: 620.8872, Without: 1500.5},
		{Start: start, End: start.AddDate(0, 0, 1), Meter: bill.Meter{Store: "s3-use1", Provider: "aws", Item: bill.Read, From: "us-east-1"},
			Unit: price.Requests10k, Quantity: 1234567, List: 0.4938268, USD: 0.4938268},
		{Start: start, End: end, Meter: bill.Meter{Store: "edge", Provider: "cloudfront", Item: bill.CDN, From: "", To: "us-mx-ca"},
			Unit: price.GB, Client: place.Place{Cloud: "aws"}, Quantity: 1e12, List: 85, USD: 85, Estimate: true},
		{Start: start, End: end, Meter: bill.Meter{Store: "gcs", Provider: "gcp", Item: bill.Stored, From: "europe-west1"}, Unit: price.GiBMonth, Quantity: 1 << 40, List: 20.48, USD: 20.48},
		{Start: start, End: end, Meter: bill.Meter{Provider: "aws", Item: bill.FrontInstance, From: "us-east-1"}, Unit: price.Hour, Quantity: 1488, List: 60, USD: 60},
		{Start: start, End: end, Meter: bill.Meter{Store: "gcs", Provider: "gcp", Item: bill.Free}, Quantity: 1 << 50},
		{Start: start, End: end, Meter: bill.Meter{Item: bill.Fixed}, Quantity: 100, List: 100, USD: 100},
	}
}

// TestWrite: every rule of the specification for the columns that we write, row by row.
func TestWrite(t *testing.T) {
	var out bytes.Buffer
	if err := Write(&out, someCharges()); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	header := rows[0]
	// The mandatory columns of versions 1.0 to 1.3.
	for _, c := range []string{"BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart",
		"ChargeCategory", "ChargeClass", "ChargeDescription", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost", "EffectiveCost",
		"HostProviderName", "InvoiceIssuerName", "ListCost", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName",
		"ServiceCategory", "ServiceName", "ServiceProviderName"} {
		if !slices.Contains(header, c) {
			t.Errorf("no column %s", c)
		}
	}
	// ColumnNamingAndOrdering: Pascal case, at most 50 characters, the specification's columns before others, those with x_.
	name := regexp.MustCompile(`^(x_)?[A-Z][A-Za-z]{1,47}$`)
	for i, c := range header {
		if !name.MatchString(c) || i > 0 && strings.HasPrefix(header[i-1], "x_") && !strings.HasPrefix(c, "x_") || slices.Contains(header[:i], c) {
			t.Errorf("column %s", c)
		}
	}
	number := regexp.MustCompile(`^-?\d+(\.\d+)?$`)
	unit := regexp.MustCompile(`^(GB|GiB|TB|TiB|GB-Months|GiB-Months|Requests|Hours|Months|Units)$`)
	for _, row := range rows[1:] {
		v := map[string]string{}
		for i, c := range header {
			v[c] = row[i]
		}
		num := func(c string) float64 {
			n, err := strconv.ParseFloat(v[c], 64)
			if err != nil || !number.MatchString(v[c]) {
				t.Errorf("%s %q is not of the numeric format", c, v[c])
			}
			return n
		}
		at := func(c string) time.Time {
			when, err := time.Parse("2006-01-02T15:04:05Z", v[c])
			if err != nil {
				t.Errorf("%s: %v", c, err)
			}
			return when
		}
		for _, c := range []string{"BillingAccountId", "ChargeDescription", "HostProviderName", "InvoiceIssuerName", "PricingCategory", "ProviderName", "PublisherName",
			"ServiceName", "ServiceProviderName", "SkuId", "SkuPriceId", "SkuMeter"} {
			if v[c] == "" {
				t.Errorf("%s is null: %v", c, v)
			}
		}
		if v["BillingCurrency"] != "USD" || v["ChargeCategory"] != "Usage" || v["ChargeClass"] != "" || v["PricingCategory"] != "Standard" {
			t.Errorf("row %v", v)
		}
		if !unit.MatchString(v["PricingUnit"]) || !unit.MatchString(v["ConsumedUnit"]) {
			t.Errorf("units %q, %q", v["PricingUnit"], v["ConsumedUnit"])
		}
		if got, want := num("ListUnitPrice")*num("PricingQuantity"), num("ListCost"); math.Abs(got-want) > 1e-9*max(1, want) {
			t.Errorf("ListCost %v is not ListUnitPrice × PricingQuantity %v", want, got)
		}
		if got, want := num("ContractedUnitPrice")*num("PricingQuantity"), num("ContractedCost"); math.Abs(got-want) > 1e-9*max(1, want) {
			t.Errorf("ContractedCost %v is not ContractedUnitPrice × PricingQuantity %v", want, got)
		}
		if num("BilledCost") != num("EffectiveCost") || num("ConsumedQuantity") < 0 || num("ListUnitPrice") < 0 {
			t.Errorf("row %v", v)
		}
		first, last := at("BillingPeriodStart"), at("BillingPeriodEnd")
		if first.Day() != 1 || !last.Equal(first.AddDate(0, 1, 0)) || at("ChargePeriodStart").Before(first) || at("ChargePeriodEnd").After(last) ||
			!at("ChargePeriodStart").Before(at("ChargePeriodEnd")) {
			t.Errorf("periods %v", v)
		}
		if v["SubAccountName"] != "" && v["SubAccountId"] == "" || v["RegionName"] != "" && v["RegionId"] == "" || v["ResourceName"] != "" && v["ResourceId"] == "" {
			t.Errorf("a name without its identifier: %v", v)
		}
		var tags map[string]string
		if err := json.Unmarshal([]byte(v["Tags"]), &tags); err != nil {
			t.Errorf("tags: %v", err)
		}
	}
	if got := rows[1][slices.Index(header, "ConsumedQuantity")]; !strings.HasPrefix(got, "11497.80") {
		t.Errorf("quantity %s GiB", got)
	}
}

// TestWriteReads: what we write is cost data for us, too, of the version that we say, and nothing is lost.
func TestWriteReads(t *testing.T) {
	var out bytes.Buffer
	if err := Write(&out, someCharges()); err != nil {
		t.Fatal(err)
	}
	table, err := newCSV(&out)
	if err != nil {
		t.Fatal(err)
	}
	if got := table.layout().version; got != WrittenVersion {
		t.Errorf("version %s, want %s", got, WrittenVersion)
	}
	p := &parser{layout: table.layout(), times: map[string]time.Time{}}
	var usd float64
	for range someCharges() {
		get, _, err := table.next()
		if err != nil {
			t.Fatal(err)
		}
		var r Row
		if err := p.row(&r, get); err != nil {
			t.Fatal(err)
		}
		usd += r.Effective
	}
	if want := 620.8872 + 0.4938268 + 85 + 20.48 + 60 + 100; math.Abs(usd-want) > 1e-9 {
		t.Errorf("$%v, want $%v", usd, want)
	}
}
