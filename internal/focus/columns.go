package focus

import (
	"fmt"
	"slices"
	"strings"
)

// column is a column of cost data that we read.
type column int

// These are the columns.
const (
	colBilled column = iota
	colEffective
	colList
	colContracted
	colCurrency
	colCategory
	colClass
	colStart
	colEnd
	colPeriodStart
	colPeriodEnd
	colConsumed
	colConsumedUnit
	colPriced
	colPricedUnit
	colSKU
	colMeter
	colDescription
	colResource
	colRegion
	colService
	colPayer
	colAccount
	colInvoice
	colProvider
	colServiceProvider
	colPublisher
	colIssuer
	colAWSUsage
	colAWSService
	colAzureMeter
	colAzureCategory
	colGoogleSKU
	columnCount
)

// columnNames are the names of the columns: the specification's, then those that providers add with x_.
var columnNames = [columnCount]string{
	colBilled: "BilledCost", colEffective: "EffectiveCost", colList: "ListCost", colContracted: "ContractedCost",
	colCurrency: "BillingCurrency", colCategory: "ChargeCategory", colClass: "ChargeClass",
	colStart: "ChargePeriodStart", colEnd: "ChargePeriodEnd",
	colPeriodStart: "BillingPeriodStart", colPeriodEnd: "BillingPeriodEnd",
	colConsumed: "ConsumedQuantity", colConsumedUnit: "ConsumedUnit", colPriced: "PricingQuantity", colPricedUnit: "PricingUnit",
	colSKU: "SkuId", colMeter: "SkuMeter", colDescription: "ChargeDescription", colResource: "ResourceId", colRegion: "RegionId",
	colService: "ServiceName", colPayer: "BillingAccountId", colAccount: "SubAccountId", colInvoice: "InvoiceId",
	colProvider: "ProviderName", colServiceProvider: "ServiceProviderName", colPublisher: "PublisherName", colIssuer: "InvoiceIssuerName",
	colAWSUsage: "x_UsageType", colAWSService: "x_ServiceCode",
	colAzureMeter: "x_SkuMeterName", colAzureCategory: "x_SkuMeterCategory",
	colGoogleSKU: "x_SkuDescription",
}

// required are the columns without which nothing can be said of a charge. All are mandatory in each version.
var required = []column{colBilled, colEffective, colCurrency, colCategory, colStart, colPeriodStart}

// since lists columns that a version of the specification brought, newest version first. The columns are those of
// the pages "Introduced (version)" in the repository FOCUS_Spec. Version 1.4 brought two columns to the dataset Cost and
// Usage, the first of them mandatory, and took ProviderName and PublisherName away; its other columns are those of other
// datasets. It was ratified on 2026-06-04.
var since = []struct {
	version string
	columns []string
}{
	{"1.4", []string{"InvoiceDetailId", "CommitmentProgramEligibilityDetails"}},
	{"1.3", []string{"ServiceProviderName", "HostProviderName", "ContractApplied", "AllocatedMethodId", "AllocatedResourceId"}},
	{"1.2", []string{"InvoiceId", "BillingAccountType", "SubAccountType", "PricingCurrency", "PricingCurrencyEffectiveCost"}},
	{"1.1", []string{"SkuMeter", "SkuPriceDetails", "ServiceSubcategory", "CapacityReservationId", "CommitmentDiscountQuantity"}},
	{"1.0", []string{"ContractedCost", "ChargeClass", "RegionId", "ConsumedQuantity"}},
}

// layout says where the columns of a file are.
type layout struct {
	at       [columnCount]int // -1: the file has no such column
	width    int
	version  string
	provider string // what the extra columns tell: aws, azure, gcp, or ""
}

// newLayout finds the columns of a file by their names.
func newLayout(names []string) (*layout, error) {
	l := &layout{width: len(names)}
	at := make(map[string]int, len(names))
	for i, n := range names {
		n = strings.ToLower(strings.TrimSpace(n))
		if _, twice := at[n]; twice {
			return nil, fmt.Errorf("the column %s is there twice", names[i])
		}
		at[n] = i
	}
	has := func(name string) bool { _, ok := at[strings.ToLower(name)]; return ok }
	for c, name := range columnNames {
		l.at[c] = -1
		if i, ok := at[strings.ToLower(name)]; ok {
			l.at[c] = i
		}
	}
	for _, c := range required {
		if l.at[c] < 0 {
			return nil, notFOCUS(has, columnNames[c])
		}
	}
	for _, v := range since {
		// Microsoft's data of version 1.0 has the two types of account, which version 1.2 brought.
		n := 0
		for _, c := range v.columns {
			if has(c) && !(has("x_SkuMeterName") && strings.HasSuffix(c, "AccountType")) {
				n++
			}
		}
		if n > 0 {
			l.version = v.version
			break
		}
	}
	if l.version == "" {
		return nil, fmt.Errorf("this is a preview of version 1.0, without ChargeClass and ContractedCost: export version 1.0 or later")
	}
	switch {
	case has("x_UsageType"), has("x_ServiceCode"):
		l.provider = "aws"
	case has("x_SkuMeterName"), has("x_SkuMeterCategory"):
		l.provider = "azure"
	case has("x_CostType"), has("x_CurrencyConversionRate"), has("x_SkuDescription"):
		l.provider = "gcp"
	}
	return l, nil
}

// notFOCUS says what a file is that lacks a column.
func notFOCUS(has func(string) bool, column string) error {
	for _, other := range []struct{ column, what string }{
		{"line_item_usage_amount", "a Cost and Usage Report of AWS"},
		{"lineitem/usageamount", "a Cost and Usage Report of AWS"},
		{"costinbillingcurrency", "cost details of Azure in the older format"},
		{"pretaxcost", "cost details of Azure in the older format"},
		{"usage_start_time", "Google's usage export"},
	} {
		if has(other.column) {
			return fmt.Errorf("this is %s, not FOCUS: it has no column %s", other.what, column)
		}
	}
	return fmt.Errorf("this is no cost data in the format FOCUS: it has no column %s", column)
}

// providers are the names under which providers write about themselves, and ours.
var providers = []struct{ begins, name string }{
	{"aws", "aws"}, {"amazon", "aws"}, {"microsoft", "azure"}, {"azure", "azure"}, {"google", "gcp"}, {"gcp", "gcp"},
	{"cloudflare", "cloudflare"}, {"fastly", "fastly"}, {"akamai", "akamai"}, {"bunny", "bunny"}, {"oracle", "oracle"},
	{"oci", "oracle"}, {"alibaba", "alibaba"}, {"digitalocean", "digitalocean"}, {"linode", "linode"}, {"ibm", "ibm"},
	{"tencent", "tencent"}, {"ovh", "ovh"}, {"scaleway", "scaleway"}, {"hetzner", "hetzner"}, {"vultr", "vultr"},
	{"wasabi", "wasabi"}, {"backblaze", "backblaze"}, {"huawei", "huawei"},
}

// providerOf returns our name of a provider, or "" for a name that we do not know.
func providerOf(name string) string {
	name = strings.ToLower(strings.TrimSpace(name))
	i := slices.IndexFunc(providers, func(p struct{ begins, name string }) bool { return strings.HasPrefix(name, p.begins) })
	if i < 0 {
		return ""
	}
	return providers[i].name
}
