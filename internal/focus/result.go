package focus

import (
	"time"

	"ociproxy/internal/traffic"
)

// Amounts are sums over charges. The costs are in US dollars, the quantity in the base of the kind.
type Amounts struct {
	Rows       int64   `json:"rows"`
	Quantity   float64 `json:"quantity"`
	List       float64 `json:"listUSD"`
	Contracted float64 `json:"contractedUSD"`
	Effective  float64 `json:"effectiveUSD"`
	Billed     float64 `json:"billedUSD"`
}

// Side is what one of our own sources counted.
type Side struct {
	Quantity float64 `json:"quantity"`
	List     float64 `json:"listUSD"` // at list prices
	USD      float64 `json:"usd"`     // with the discounts and prices of the config
}

// Ours is what one of our own sources counted of one kind, at one store in one month.
type Ours struct {
	Month  traffic.Day
	Store  string
	Kind   Kind
	Source traffic.Source
	Side
}

// Line compares one kind of charge at one store in one month.
type Line struct {
	Month    traffic.Day `json:"month"`
	Store    string      `json:"store"`
	Provider string      `json:"provider"`
	Kind     Kind        `json:"kind"`
	Base     string      `json:"base"` // what quantities are counted in
	Bill     Amounts     `json:"bill"`
	// Estimate is what the proxy counted, Logs what the stores' logs say; nil: there is no such source.
	Estimate *Side `json:"estimate,omitempty"`
	Logs     *Side `json:"logs,omitempty"`
	// Allotted is the part of Bill that rows without a bucket gave, by the share of the store in the logs.
	Allotted *Amounts `json:"allotted,omitempty"`
	// Open reports that the bill of this month is not complete.
	Open    bool     `json:"open,omitempty"`
	Reasons []Reason `json:"reasons,omitempty"`
}

// Reason is a probable reason for a difference, and what to do about it.
type Reason struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

// Apart is what is on the bill and is no use of a meter: taxes, credits, adjustments, purchases and corrections of earlier
// months.
type Apart struct {
	Month    traffic.Day `json:"month"`
	Provider string      `json:"provider"`
	Store    string      `json:"store,omitempty"` // "" if the row names no bucket of ours
	What     string      `json:"what"`            // the category, or "Correction"
	Amounts
}

// Unknown is a meter of our buckets that the table of meters does not know.
type Unknown struct {
	Provider string `json:"provider"`
	Service  string `json:"service"`
	Meter    string `json:"meter"`
	Unit     string `json:"unit"`
	Store    string `json:"store"`
	Amounts
}

// Foreign is what the bill has of the same services for resources that are not in the config.
type Foreign struct {
	Provider string `json:"provider"`
	Resource string `json:"resource"` // "" if the rows name no resource
	Why      string `json:"why"`
	Amounts
}

// Period is a billing period of one provider.
type Period struct {
	Month    traffic.Day `json:"month"`
	Provider string      `json:"provider"`
	Until    time.Time   `json:"until"` // the end of the last charge
	End      time.Time   `json:"end"`
	Open     bool        `json:"open"`
	Why      string      `json:"why,omitempty"`

	invoiced bool
}

// File is one file of cost data that was read.
type File struct {
	Name     string `json:"name"`
	Format   string `json:"format"`  // csv, csv.gz, parquet
	Version  string `json:"version"` // the least version of FOCUS that has the file's columns
	Provider string `json:"provider"`
	Currency string `json:"currency"`
	Rows     int64  `json:"rows"`
	Picked   int64  `json:"picked"`
	Skipped  string `json:"skipped,omitempty"` // why the file was not read
}

// Fault is a kind of row that was left out, with the first places.
type Fault struct {
	What  string   `json:"what"`
	Rows  int64    `json:"rows"`
	USD   float64  `json:"usd"`
	First []string `json:"first"` // file:line
}

// Comparison is the whole result.
type Comparison struct {
	Files   []File    `json:"files"`
	Periods []Period  `json:"periods"`
	Lines   []Line    `json:"lines"`
	Apart   []Apart   `json:"apart"`
	Unknown []Unknown `json:"unknown"`
	Foreign []Foreign `json:"foreign"`
	Faults  []Fault   `json:"faults"`
	Notes   []string  `json:"notes"`
}
