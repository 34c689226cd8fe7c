package objectives

import "fmt"

// What a day and a month may cost.
const (
	anomaly     = 1.5 // times a usual day
	leastMore   = 20  // dollars more than a usual day: below, nobody acts
	leastHours  = 72  // of earlier days, before a day can be called unusual
	dayHours    = 20  // of the last 24, before they are a day: some busy hours alone are none
	budgetHours = 24  // before a month can be forecast

	rate = "ociproxy:cost_dollars:rate5m" // dollars a second, of all instances
)

func costs() file {
	return file{
		name: "cost", group: "oci-proxy cost",
		about: `What the redirects cost: by day, and whether a day is unusual. The amounts are estimates of egress: docs/cost.md.
For Prometheus 2.40 or later, which must keep samples for at least 8 days.`,
		rules: []rule{
			{record: rate, expr: fmt.Sprintf("sum(rate(%s[5m]))", cost)},
			{record: "ociproxy:cost_dollars:day", why: "Of the last 24 hours. From the series above, because the counter has a thousand series.",
				expr: fmt.Sprintf("86400 * avg_over_time(%s[1d])", rate)},
			{record: "ociproxy:cost_dollars:usual_day", why: "Of the seven days before, as soon as three of them are known.",
				expr: fmt.Sprintf("86400 * avg_over_time(%s[7d] offset 1d)\nand count_over_time(%[1]s[7d:1h] offset 1d) >= %d", rate, leastHours)},
			{
				alert: "OCIProxyCostAnomaly", severity: Ticket, hold: "1h", runbook: "a-day-costs-more-than-usual",
				expr:    fmt.Sprintf("ociproxy:cost_dollars:day > %g * ociproxy:cost_dollars:usual_day\nand ociproxy:cost_dollars:day - ociproxy:cost_dollars:usual_day > %d\nand count_over_time(%s[1d:1h]) >= %d", anomaly, leastMore, rate, dayHours),
				summary: "the last 24 hours cost {{ $value | humanize }} dollars, more than usual",
			},
			{
				alert: "OCIProxyCostNotKnown", severity: Ticket, hold: "1h", runbook: "what-it-costs-is-not-known",
				why:     "Without data the alert above cannot fire, and that must not look like good news. In the first three days it fires, too.",
				expr:    fmt.Sprintf("absent(%[1]s)\nor absent(ociproxy:cost_dollars:usual_day)\nor count_over_time(%[1]s[1d:1h]) < %d", rate, dayHours),
				summary: "nobody knows what a day costs: no data, gaps of hours, or less than three days of it",
			},
		},
	}
}

func budget() file {
	return file{
		name: "budget", group: "oci-proxy budget",
		about: `Whether the month will cost more than its budget. Load cost.yaml too, and a rule of yours that says what the budget is:

  - record: ociproxy:budget_dollars:month
    expr: vector(1000)

Without it there is no budget, and the alert stays silent. The chart writes it from monitoring.monthlyBudget.`,
		rules: []rule{
			{record: "ociproxy:cost_dollars:month_forecast", why: "As if each day of this month cost what the last seven days cost on average.",
				expr: fmt.Sprintf("86400 * avg_over_time(%s[7d]) * scalar(days_in_month(vector(time())))\nand count_over_time(%[1]s[7d:1h]) >= %d", rate, budgetHours)},
			{
				alert: "OCIProxyBudgetForecast", severity: Ticket, hold: "6h", runbook: "the-month-will-cost-more-than-its-budget",
				expr:    "ociproxy:cost_dollars:month_forecast > on () ociproxy:budget_dollars:month",
				summary: "the month will cost about {{ $value | humanize }} dollars, more than its budget",
			},
		},
	}
}

// Files returns the texts of all files by their names below deploy/prometheus.
func Files() map[string]string {
	out := map[string]string{}
	for _, f := range []file{availability(), costs(), budget()} {
		out[f.name+".yaml"] = f.text()
	}
	return out
}
