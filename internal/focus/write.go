package focus

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"ociproxy/internal/bill"
	"ociproxy/internal/place"
	"ociproxy/internal/price"
)

// Charge is a part of our own estimate: what one meter ran for the clients of one place in a period.
type Charge struct {
	Start, End time.Time // the period, in UTC; it lies in one month
	Meter      bill.Meter
	Unit       price.Unit // of the price
	Client     place.Place
	Quantity   float64 // in the base of Unit
	// List is what it costs at list prices, USD with the discounts and prices of the config, in US dollars.
	List, USD float64
	// Without is what the same downloads would have cost without the proxy.
	Without float64
	// Estimate reports that the price does not come from a price list or the config.
	Estimate bool
}

// WrittenVersion is the version of the specification that [Write] follows.
const WrittenVersion = "1.3"

// written are the columns that Write writes, in the order of the alphabet as the specification recommends, ours last:
// all that are mandatory in versions 1.0 to 1.3, and the conditional ones whose condition is met.
var written = []string{
	"BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart",
	"ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart",
	"ConsumedQuantity", "ConsumedUnit", "ContractedCost", "ContractedUnitPrice", "EffectiveCost", "HostProviderName", "InvoiceId",
	"InvoiceIssuerName", "ListCost", "ListUnitPrice", "PricingCategory", "PricingQuantity", "PricingUnit", "ProviderName",
	"PublisherName", "RegionId", "RegionName", "ResourceId", "ResourceName", "ResourceType", "ServiceCategory", "ServiceName",
	"ServiceProviderName", "ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceDetails", "SkuPriceId", "SubAccountId",
	"SubAccountName", "Tags",
	"x_ClientCloud", "x_ClientRegion", "x_CostWithoutProxy", "x_Estimate", "x_PriceFrom", "x_PriceTo", "x_Store",
}

// sellers are the names under which providers sell.
var sellers = map[string]string{
	"aws": "Amazon Web Services", "cloudfront": "Amazon Web Services", "gcp": "Google Cloud", "google-cloud-cdn": "Google Cloud",
	"azure": "Microsoft", "cloudflare-r2": "Cloudflare", "fastly": "Fastly", "oracle": "Oracle", "backblaze-b2": "Backblaze",
	"wasabi": "Wasabi", "ibm-cos": "IBM",
}

// service is how the specification classifies what an item is for.
type service struct{ category, subcategory, name string }

func serviceOf(item string) service {
	switch item {
	case bill.CDN, bill.CDNRequests:
		return service{"Networking", "Content Delivery", "Content delivery"}
	case bill.FrontInstance:
		return service{"Compute", "Virtual Machines", "Instances of the proxy"}
	case bill.FrontBalancer, bill.FrontBytes, bill.FrontRules, bill.FrontRequests:
		return service{"Networking", "Application Networking", "Load balancer of the proxy"}
	case bill.FrontLogs:
		return service{"Management and Governance", "Observability", "Logs of the proxy"}
	case bill.Fixed:
		return service{"Other", "Other (Other)", "Fixed charges"}
	}
	return service{"Storage", "Object Storage", "Object storage"}
}

// Write writes charges as cost data of [WrittenVersion], as a CSV file. They are an estimate: InvoiceId is null, and
// BilledCost is what the provider would bill.
func Write(w io.Writer, charges []Charge) error {
	out := csv.NewWriter(w)
	if err := out.Write(written); err != nil {
		return err
	}
	row := make([]string, len(written))
	for i := range charges {
		values, err := charges[i].values()
		if err != nil {
			return err
		}
		for j, c := range written {
			row[j] = values[c]
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// values returns the columns of a charge that are not null.
func (c *Charge) values() (map[string]string, error) {
	month := time.Date(c.Start.Year(), c.Start.Month(), 1, 0, 0, 0, 0, time.UTC)
	seller := cmp.Or(sellers[c.Meter.Provider], c.Meter.Provider, "Other")
	account := cmp.Or(c.Meter.Account, c.Meter.Store, "not known")
	is := serviceOf(c.Meter.Item)
	unit, quantity := unitOf(c.Unit, c.Quantity)
	sku := skuOf(c.Meter)
	v := map[string]string{
		"BilledCost": decimalText(c.USD), "EffectiveCost": decimalText(c.USD), "ContractedCost": decimalText(c.USD), "ListCost": decimalText(c.List),
		"BillingAccountId": account, "BillingAccountName": account, "SubAccountId": account, "SubAccountName": account,
		"BillingCurrency": "USD", "BillingPeriodStart": when(month), "BillingPeriodEnd": when(month.AddDate(0, 1, 0)),
		"ChargePeriodStart": when(c.Start), "ChargePeriodEnd": when(c.End), "ChargeCategory": string(Usage), "ChargeFrequency": "Usage-Based",
		"ChargeDescription": description(c), "PricingCategory": "Standard",
		"ConsumedQuantity": decimalText(quantity), "ConsumedUnit": unit, "PricingQuantity": decimalText(quantity), "PricingUnit": unit,
		"ListUnitPrice": unitPrice(c.List, quantity), "ContractedUnitPrice": unitPrice(c.USD, quantity),
		"ProviderName": seller, "PublisherName": seller, "ServiceProviderName": seller, "HostProviderName": seller, "InvoiceIssuerName": seller,
		"ServiceCategory": is.category, "ServiceSubcategory": is.subcategory, "ServiceName": is.name,
		"SkuId": sku, "SkuPriceId": sku, "SkuMeter": c.Meter.Item,
		"x_ClientCloud": c.Client.Cloud, "x_ClientRegion": c.Client.Region, "x_Estimate": strconv.FormatBool(c.Estimate),
		"x_PriceFrom": c.Meter.From, "x_PriceTo": c.Meter.To, "x_Store": c.Meter.Store,
	}
	if c.Without != 0 {
		v["x_CostWithoutProxy"] = decimalText(c.Without)
	}
	if c.Meter.Store != "" {
		v["ResourceId"], v["ResourceName"], v["ResourceType"] = c.Meter.Store, c.Meter.Store, "Store"
	}
	// The end of a price list can be an area; only that of a bucket is a region.
	if is.category == "Storage" && c.Meter.From != "" {
		v["RegionId"], v["RegionName"] = c.Meter.From, c.Meter.From
	}
	tags, err := json.Marshal(map[string]string{"oci-proxy/store": c.Meter.Store})
	if err != nil {
		return nil, err
	}
	v["Tags"] = string(tags)
	return v, nil
}

// skuOf names what a meter sells, the same for all accounts and stores.
func skuOf(m bill.Meter) string {
	return strings.Join([]string{cmp.Or(m.Provider, "other"), m.Item, cmp.Or(m.From, "any"), cmp.Or(m.To, "any")}, "/")
}

func description(c *Charge) string {
	text := c.Meter.Item + " of " + cmp.Or(c.Meter.Store, "the front")
	if !c.Client.IsZero() {
		text += " for clients in " + c.Client.String()
	}
	return text + " (estimate by oci-proxy)"
}

// unitOf returns a unit as the specification writes it, with the quantity in that unit.
func unitOf(u price.Unit, quantity float64) (string, float64) {
	switch u {
	case price.GB, price.GiB, price.TB, price.TiB:
		return string(u), u.Of(quantity)
	case price.GBMonth:
		return "GB-Months", u.Of(quantity)
	case price.GiBMonth:
		return "GiB-Months", u.Of(quantity)
	case price.Hour:
		return "Hours", quantity
	case price.Month:
		return "Months", quantity
	}
	if u.Base() == baseRequests {
		return "Requests", quantity
	}
	if u == "" || u.Size() == 0 {
		return "Units", quantity // an amount of the config, and what is free
	}
	return string(u), u.Of(quantity)
}

// unitPrice returns a price that gives the cost when it is multiplied with the quantity. Tiers and shares of a bill are
// in it, so it is no price of a list.
func unitPrice(usd, quantity float64) string {
	if quantity == 0 {
		return "0"
	}
	return decimalText(usd / quantity)
}

// decimalText writes a number without an exponent, which not all readers take.
func decimalText(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

func when(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
