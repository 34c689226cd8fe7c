package focus

import (
	"time"

	"ociproxy/internal/traffic"
)

// Category is the kind of a charge: the column ChargeCategory.
type Category string

// These are the categories. Google's view writes them in lower case; a [Row] has them as here.
const (
	Usage      Category = "Usage"
	Purchase   Category = "Purchase"
	Tax        Category = "Tax"
	Credit     Category = "Credit"
	Adjustment Category = "Adjustment"
)

// Row is one charge of cost data, as far as we need it. Costs are in US dollars.
type Row struct {
	Provider string // aws, azure, gcp, cloudflare, …: the name in our tables; "" if the data does not say
	Service  string // ServiceName, and the provider's own code
	Payer    string // BillingAccountId
	Account  string // SubAccountId
	Region   string // RegionId
	Resource string // ResourceId, as the provider writes it
	// Meters are the names of what was metered, the most exact first: AWS's usage type, Azure's meter, Google's
	// description of the SKU.
	Meters   []string
	SKU      string // SkuId
	Category Category
	// Correction reports that the row corrects a charge of an earlier billing period.
	Correction bool

	Billed, Effective, List, Contracted float64
	// HasList reports whether the row has a list cost. Some providers leave it out for some services.
	HasList bool

	Consumed, Priced Quantity // ConsumedQuantity and PricingQuantity with their units

	Start, End time.Time // ChargePeriodStart and ChargePeriodEnd
	// PeriodStart and PeriodEnd are the billing period. Google's begins at midnight in Los Angeles.
	PeriodStart, PeriodEnd time.Time
	// Invoiced reports that the row names an invoice: the period is closed.
	Invoiced bool
}

// Quantity is a number with the unit that the bill gives it.
type Quantity struct {
	N    float64
	Unit string
	Set  bool
}

// Month returns the first day of the month of the billing period.
func (r *Row) Month() traffic.Day {
	t := r.PeriodStart
	if t.IsZero() {
		t = r.Start
	}
	// Billing periods begin at midnight somewhere: twelve hours later it is that month everywhere.
	return MonthOf(t.UTC().Add(12 * time.Hour))
}

// MonthOf returns the first day of the month of a time, in UTC.
func MonthOf(t time.Time) traffic.Day {
	t = t.UTC()
	return traffic.DayOf(time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC))
}
