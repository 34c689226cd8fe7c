package report

import (
	"time"

	"ociproxy/internal/focus"
	"ociproxy/internal/traffic"
)

// Report is the account of some days. Dollars are US dollars, bytes are bytes. New versions only add fields.
type Report struct {
	Begin  string `json:"begin"` // the first day
	End    string `json:"end"`   // the day after the last one
	Per    Per    `json:"per"`
	Config string `json:"config"` // the file

	// Canonical is the upstream from which everything would come without the proxy.
	Canonical string `json:"canonical"`
	// Months has the bills. Bills are by the month, because tiers begin anew with each month.
	Months []Month `json:"months"`
	// Periods has the traffic of each day or month.
	Periods []Total `json:"periods"`
	// Flows has the downloads by period, client and store; the most expensive first.
	Flows []Flow `json:"flows"`
	// Clouds, Stores and Repositories add up the flows of all periods.
	Clouds []Total `json:"clouds"`
	Stores []Total `json:"stores"`
	// Repositories has only what a request log of the proxy tells. Known says how much that is.
	Repositories []Total `json:"repositories"`
	Known        Known   `json:"known"`
	// Objects has the blobs with most bytes, where a roll-up tells them.
	Objects []Object `json:"objects"`
	// Other has the traffic that no client caused: origin fetches, probes, the mirror, copies.
	Other []Flow `json:"other"`
	// Movers compares the last whole period with the one before it. Compared names the two; empty: there are none.
	Movers   []Mover  `json:"movers"`
	Compared []string `json:"compared"`
	// Left is the money left on the table: bytes that crossed the border of a cloud in which a store is configured.
	Left []Left `json:"left"`
	// Sources says for each store and day which source counted, and why.
	Sources []Choice `json:"sources"`
	// Delivered says what was corrected because clients cut downloads, where it was learned on other days.
	Delivered []Delivered `json:"delivered,omitempty"`
	// Billed sets the estimate, the logs and the provider's cost data side by side, where --billing names some.
	Billed *focus.Comparison `json:"billed,omitempty"`
	// Items lists every item of a real bill and how it is treated here.
	Items []Item `json:"items"`
	// Warnings say what makes the figures less certain, as sentences.
	Warnings []string `json:"warnings"`

	ours    []focus.Ours
	charges []focus.Charge
}

// Per is the length of a period.
type Per string

// These are the periods.
const (
	PerDay   Per = "day"
	PerMonth Per = "month"
)

// Name returns the name of the period with the day: 2026-12 or 2026-12-10.
func (p Per) Name(d traffic.Day) string {
	if p == PerDay {
		return d.String()
	}
	return d.Time().Format("2006-01")
}

// monthOf returns the first day of the month.
func monthOf(d traffic.Day) traffic.Day {
	t := d.Time()
	return traffic.DayOf(time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC))
}

// Money is an amount, and the range in which it lies where it is not known on which step the ladder of prices begins.
type Money struct {
	USD  float64 `json:"usd"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Month is what a month cost, as bills.
type Month struct {
	Month string `json:"month"` // 2026-12
	Days  int    `json:"days"`  // of the report; fewer than the month has at its ends
	// With is the bill for all traffic, with front, logs, storage and copies. Without is the bill if canonical had sent
	// everything that clients downloaded. Saved is the difference of the two; negative when the proxy costs more.
	With    Money `json:"with"`
	Without Money `json:"without"`
	Saved   Money `json:"saved"`
	// Downloads and Bytes are what clients got. PerTB is With.USD for 10^12 bytes, PerMillion for a million downloads;
	// 0 without any.
	Downloads  float64 `json:"downloads"`
	Bytes      float64 `json:"bytes"`
	PerTB      float64 `json:"perTB"`
	PerMillion float64 `json:"perMillion"`
	// Lines are the lines of With, WithoutLines those of Without.
	Lines        []Line `json:"lines"`
	WithoutLines []Line `json:"withoutLines"`
}

// partial reports whether the report has only a part of the month.
func (m *Month) partial() bool {
	t, err := time.Parse("2006-01", m.Month)
	return err == nil && m.Days < daysIn(traffic.DayOf(t))
}

// Line is one line of a bill.
type Line struct {
	Account  string `json:"account,omitempty"` // whose bill it is on
	Store    string `json:"store,omitempty"`   // the store or upstream; "" for the front
	Provider string `json:"provider"`          // who bills
	Item     string `json:"item"`              // what is billed; see items
	From     string `json:"from,omitempty"`    // the ends, as the price list names them
	To       string `json:"to,omitempty"`
	// Quantity is in bytes, requests, bytes for a month or hours. Unit is the unit of the price.
	Quantity float64 `json:"quantity"`
	Unit     string  `json:"unit"`
	Money
	Estimate bool   `json:"estimate"` // the price does not come from a price list
	Source   string `json:"source"`   // of the price, with its date
}

// Sum is what is counted of some rows. USD is for transfer and requests, allotted from the bills.
type Sum struct {
	Requests float64 `json:"requests"`
	Bytes    float64 `json:"bytes"`
	USD      float64 `json:"usd"`
	// Error is how far Bytes may be off because the log was sampled, as a share, with 95 % confidence; 0: all counted.
	Error float64 `json:"error,omitempty"`
}

// Total is the sum for a name: a period, cloud, store or repository.
type Total struct {
	Name string `json:"name"`
	Sum
	// Without is the same from canonical, allotted from the bills without the proxy. Its difference from USD is not what
	// was saved: see [Month].
	Without float64 `json:"without"`
}

// Flow is the sum for a period, client place and store.
type Flow struct {
	Period string        `json:"period"`
	Cloud  string        `json:"cloud"`  // of the client; "": not known
	Region string        `json:"region"` // of the client; "": not known
	Store  string        `json:"store"`
	Class  traffic.Class `json:"class"`
	Sum
	Without float64 `json:"without"`
}

// Known is how much of the downloads a source with repositories tells of.
type Known struct {
	Bytes float64 `json:"bytes"`
	Share float64 `json:"share"` // of all bytes that clients got
}

// Object is the sum for one blob.
type Object struct {
	Digest   string  `json:"digest"`
	Requests float64 `json:"requests"`
	Bytes    float64 `json:"bytes"`
}

// Mover is a flow or repository whose cost changed most between two periods.
type Mover struct {
	Kind   string  `json:"kind"` // flow or repository
	Name   string  `json:"name"`
	Was    Sum     `json:"was"`
	Is     Sum     `json:"is"`
	Change float64 `json:"change"` // in dollars
}

// Left is a flow that crossed the border of a cloud although a store in that cloud is configured.
type Left struct {
	Cloud  string `json:"cloud"`  // of the clients
	From   string `json:"from"`   // the store or upstream that served them
	Store  string `json:"store"`  // the store in their cloud that could have, cheapest first
	Reason string `json:"reason"` // of the proxy, or what the config says
	Why    string `json:"why"`    // as a sentence
	Sum
	// Instead is what the store would have cost for the same bytes; USD minus Instead is the money left on the table.
	Instead float64 `json:"instead"`
	// Remedy is a command that repairs it, or tells more.
	Remedy string `json:"remedy"`
}

// Choice is which source counts for a store on some days, and what the others say.
type Choice struct {
	Store string         `json:"store"`
	First string         `json:"first"` // day
	Last  string         `json:"last"`  // day
	Days  int            `json:"days"`
	Count traffic.Source `json:"counts"`
	Why   string         `json:"why"`
	// Complete is the share of the requests that the proxy sent to the store and the store's log has; 0: not known.
	Complete float64 `json:"complete,omitempty"`
	// Told is what each source tells of the downloads of these days. Never add them up.
	Told []Told `json:"told"`
}

// Told is what one source tells.
type Told struct {
	Source   traffic.Source `json:"source"`
	Requests float64        `json:"requests"`
	Bytes    float64        `json:"bytes"`
}

// Delivered is how what the proxy's log says of a store was corrected: the proxy knows what clients ask for, and not what they
// got.
type Delivered struct {
	Store string `json:"store"`
	First string `json:"first"` // day
	Last  string `json:"last"`  // day
	Days  int    `json:"days"`
	// Asked and Sent are bytes, Factor is Sent ÷ Asked.
	Asked  float64 `json:"asked"`
	Sent   float64 `json:"sent"`
	Factor float64 `json:"factor"`
	// Error is how far Factor may be off because days differ, with 95 % confidence; 0: not known, of one day was learned.
	Error float64 `json:"error"`
	// Learned are the days with the logs of stores from which the factor is.
	Learned []string `json:"learned"`
}

// Item is one item of a real bill, and how a report treats it.
type Item struct {
	Name  string `json:"name"`
	What  string `json:"what"`
	State string `json:"state"` // modelled, taken from the bill, or not counted, because
	Why   string `json:"why"`
}

// lastDay returns the last day of the report.
func (r *Report) lastDay() string {
	t, err := time.Parse(time.DateOnly, r.End)
	if err != nil {
		return r.End
	}
	return t.AddDate(0, 0, -1).Format(time.DateOnly)
}
