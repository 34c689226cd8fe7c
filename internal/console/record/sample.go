// Package record makes the console's view of one server from samples of its counters. It keeps an hour of history in
// bounded memory: the rates of each candidate, the counters of the last minutes, what happened.
//
// It knows counters that only grow, and states. It must not know metrics, health, config, HTTP.
package record

import (
	"time"

	"ociproxy/internal/console/view"
	"ociproxy/internal/price"
)

// Every is how often samples are taken.
const Every = 5 * time.Second

// Way is where redirects lead from a client's place to a candidate.
type Way struct{ From, To string }

// Count is what was counted on a way since the start: redirects, bytes, US dollars.
type Count struct{ Redirects, Bytes, Dollars float64 }

// Sample is what a server knows at one moment.
type Sample struct {
	// View has all that needs no history. The recorder adds the rates, the flows, money, series, events, what Moved, and
	// calls [view.View.Judge]. A candidate whose Since is zero gets the time of the first sample with its state. The
	// recorder owns it from now on.
	View view.View
	// Counts are the counters of all ways. The recorder does not change them.
	Counts map[Way]Count
	// Requests and Errors are counted since the start, as [view.Serving] says.
	Requests, Errors float64
	// Spot says where a place is. Nil: unknown.
	Spot func(place string) view.Spot
	// Canonical is the price of a GiB from the canonical upstream to clients of a place, in US cents. Nil: not known.
	Canonical func(place string) (cents float64, known bool)
	// Holding says what holds beside the config, in a line each. One that comes or goes is an event.
	Holding []string
}

func (c Count) plus(o Count) Count {
	return Count{c.Redirects + o.Redirects, c.Bytes + o.Bytes, c.Dollars + o.Dollars}
}

// since returns how much was counted after o. Counters that are lower than before began again.
func (c Count) since(o Count) Count {
	if c.Redirects < o.Redirects || c.Bytes < o.Bytes || c.Dollars < o.Dollars {
		return c
	}
	return Count{c.Redirects - o.Redirects, c.Bytes - o.Bytes, c.Dollars - o.Dollars}
}

// over returns c as a rate over d.
func (c Count) over(d time.Duration) view.Rate {
	if d <= 0 {
		return view.Rate{}
	}
	s := d.Seconds()
	return view.Rate{Redirects: c.Redirects / s, Bytes: c.Bytes / s, Dollars: c.Dollars / d.Hours()}
}

func sum(a, b view.Rate) view.Rate {
	return view.Rate{Redirects: a.Redirects + b.Redirects, Bytes: a.Bytes + b.Bytes, Dollars: a.Dollars + b.Dollars}
}

// hourly returns the dollars an hour of bytes a second at a price in US cents a GiB.
func hourly(bytes, cents float64) float64 { return price.USD(bytes*3600, cents, price.GiB) }

// cents returns the mean price of a rate, in US cents a GiB; -1: no bytes flow.
func cents(r view.Rate) float64 {
	if r.Bytes <= 0 {
		return -1
	}
	return r.Dollars / hourly(r.Bytes, 1)
}
