package focus

import (
	"fmt"
	"math"

	"ociproxy/internal/price"
	"ociproxy/internal/traffic"
)

// same enough: quantities differ by rounding and by the hours at the ends of a month, costs by rounding.
const (
	nearly     = 0.01
	unitsNear  = 0.006
	incomplete = 0.02
)

// explain finds the probable reasons of what does not agree on a line.
func (m *matcher) explain(l *Line) {
	say := func(code, text string, args ...any) {
		l.Reasons = append(l.Reasons, Reason{code, fmt.Sprintf(text, args...)})
	}
	ours, name := l.Logs, "logs"
	if ours == nil {
		ours, name = l.Estimate, "estimate"
	}
	if ours == nil {
		m.uncounted(l, say)
		return
	}
	next := traffic.DayOf(l.Month.Time().AddDate(0, 1, 0))
	if counted := min(m.end, next) - max(m.begin, l.Month); counted < next-l.Month {
		say("partial", "we counted %d of the %d days of this month: choose whole months with --begin and --end", max(0, counted), next-l.Month)
		return
	}
	if l.Open && (off(ours.Quantity, l.Bill.Quantity) || l.Bill.Rows == 0) {
		say("open", "the bill of this month is not complete")
	}
	if l.Bill.Rows == 0 {
		if ours.Quantity > 0 && m.lists(l) {
			m.missing(l, say)
		}
		return
	}
	binary := price.GiB.Size() / price.GB.Size()
	ratio := ours.Quantity / l.Bill.Quantity
	switch {
	case !off(ours.Quantity, l.Bill.Quantity):
	case ours.Quantity == 0:
		say("no-logs", "the %s have nothing of this: were they on for the whole month?", name)
	case l.Bill.Quantity <= 0:
		say("free", "the bill has a cost but no quantity")
	case l.Base != baseRequests && near(ratio, binary, unitsNear):
		say("units", "the %s are 7.37 %% more: the bill counts in GiB (2³⁰ bytes) and writes GB, or the price is per GB", name)
	case l.Base != baseRequests && near(ratio, 1/binary, unitsNear):
		say("units", "the %s are 6.87 %% less: the bill counts in GB (10⁹ bytes), and it was read as GiB", name)
	case near(ratio, 2, incomplete):
		say("twice", "the %s are twice the bill: are the logs of the bucket and of the CDN before it both given, or a log twice?", name)
	case near(ratio, 0.5, incomplete):
		say("twice", "the bill is twice the %s: does the cost data have each row twice?", name)
	case l.Allotted != nil:
		say("allotted", "%s of the bill name no bucket and are allotted: other buckets and services of the account may be in them", inBase(l.Base, l.Allotted.Quantity))
	case l.Logs != nil && l.Estimate != nil && !off(l.Estimate.Quantity, l.Bill.Quantity):
		say("log-lines", "the estimate agrees with the bill and the logs do not: the logs have %.1f %% of the quantity, so lines are missing or were given twice", 100*ratio)
	case ratio < 1-incomplete && l.Logs != nil:
		say("log-lines", "the logs have %.1f %% of the billed quantity: lines are missing, because stores deliver logs without a guarantee", 100*ratio)
	case ratio < 1:
		say("others", "the bill has more than we counted: somebody asks the store without the proxy, or probes, audits and copies are in the bill")
	default:
		say("cut", "we counted more than the bill: downloads that clients ended early, or a part that the provider does not bill")
	}
	m.costs(l, ours, say)
}

// costs says why costs differ where quantities agree.
func (m *matcher) costs(l *Line, ours *Side, say func(string, string, ...any)) {
	if off(ours.Quantity, l.Bill.Quantity) {
		return
	}
	if off(ours.List, l.Bill.List) && math.Abs(ours.List-l.Bill.List) >= 0.01 {
		switch {
		case l.Bill.List == 0 && ours.List > 0:
			say("no-list", "the bill has no list cost here: the provider left it out, or the use is free")
		case ladder(l.Kind):
			say("tier", "the same quantity, another list cost (%+.1f %%): the payer is in another tier of the price list; give its other traffic in billing.accounts, or the whole bill",
				percent(ours.List, l.Bill.List))
		default:
			say("price", "the same quantity, another list cost (%+.1f %%): the price in our table or in the config is not this one", percent(ours.List, l.Bill.List))
		}
	}
	if off(l.Bill.Effective, l.Bill.List) && l.Bill.List > 0 && math.Abs(l.Bill.Effective-l.Bill.List) >= 0.01 {
		say("discount", "the effective cost is %+.1f %% of the list cost: a discount or a commitment; write it in the config (discount)",
			percent(l.Bill.Effective, l.Bill.List))
	}
}

// uncounted says what to give for a cost that we did not count at all.
func (m *matcher) uncounted(l *Line, say func(string, string, ...any)) {
	switch {
	case abs(l.Bill.Effective) < 0.01:
	case l.Kind == Storage:
		say("uncounted", "not counted: --inventories, --held or billing.stored in the config says what the store holds")
	case l.Kind == EarlyDelete || l.Kind == Retrieval || l.Kind == Copy || l.Kind == Management || l.Kind == Shield || l.Kind == Inbound:
		say("uncounted", "only the bill has this")
	case l.Kind.ofCDN():
		say("uncounted", "not counted: give the logs of the CDN with --logs, or the counters of the proxy with --prometheus")
	default:
		say("uncounted", "not counted: give the logs of the store with --logs, or the counters of the proxy with --prometheus")
	}
}

// lists reports whether the bill has anything of the provider in that month.
func (m *matcher) lists(l *Line) bool {
	return m.bill.periods[periodKey{l.Month, l.Provider}] != nil
}

// missing says why the bill has no row for something that we counted.
func (m *matcher) missing(l *Line, say func(string, string, ...any)) {
	var distributions bool
	for k := range m.bill.foreign.of {
		distributions = distributions || k.provider == l.Provider && len(k.resource) > 0
	}
	switch {
	case l.Kind.ofCDN() && distributions:
		say("resource", "no row of the bill is for this CDN: write its identifier, which is among the foreign resources, into billing.resources")
	default:
		say("resource", "no row of the bill is for this: was the export made with resource identifiers, and does it have this account?")
	}
}

// off reports whether two amounts differ by more than rounding.
func off(a, b float64) bool { return !near(a, b, nearly) }

func near(a, b, within float64) bool {
	return a == b || math.Abs(a-b) <= within*max(math.Abs(a), math.Abs(b))
}

// percent returns by how many percent a is more than b.
func percent(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return 100 * (a - b) / b
}
