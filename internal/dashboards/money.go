package dashboards

func money() dashboard {
	const cost, bytes = "ociproxy_estimated_cost_dollars_total", "ociproxy_redirected_bytes_total"
	by := func(labels, metric string) string {
		return "sum by (" + labels + ") (rate(" + metric + "[$__rate_interval]))"
	}
	return dashboard{
		uid: "oci-proxy-money", title: "oci-proxy: money",
		about: "What the redirects cost: an estimate of egress by the price tables. docs/cost.md says what it leaves out.",
		rows: []row{
			{"Now", []panel{
				{kind: number, title: "An hour", about: "Dollars an hour, over five minutes.", unit: "currencyUSD", width: 6, queries: ask("3600 * ociproxy:cost_dollars:rate5m", "")},
				{kind: number, title: "A day", about: "The last 24 hours.", unit: "currencyUSD", width: 6, queries: ask("ociproxy:cost_dollars:day", "")},
				{kind: number, title: "A usual day", about: "Of the seven days before. No data until three of them are known.", unit: "currencyUSD", width: 6, queries: ask("ociproxy:cost_dollars:usual_day", "")},
				{kind: number, title: "The month", about: "As if each of its days cost what the last seven cost on average.", unit: "currencyUSD", width: 6, queries: ask("ociproxy:cost_dollars:month_forecast", "")},
			}},
			{"Where it goes", []panel{
				{kind: graph, title: "By store or upstream", about: "Dollars an hour.", unit: "currencyUSD", width: 12, stack: true, queries: ask("3600 * "+by("candidate", cost), "{{candidate}}")},
				{kind: graph, title: "By clients", about: "Dollars an hour, by the place of the clients.", unit: "currencyUSD", width: 12, stack: true, queries: ask("3600 * "+by("cloud, region", cost), "{{cloud}} {{region}}")},
				{kind: graph, title: "Bytes by store or upstream", about: "Of blobs whose size is known.", unit: "Bps", width: 12, stack: true, queries: ask(by("candidate", bytes), "{{candidate}}")},
				{kind: graph, title: "Dollars a GiB", about: "On average, by store or upstream.", unit: "currencyUSD", width: 12,
					queries: ask(by("candidate", cost)+" / ("+by("candidate", bytes)+" / 2^30 > 0)", "{{candidate}}")},
			}},
			{"The dearest flows", []panel{
				{kind: list, title: "Dollars an hour", about: "The 20 dearest ways from a store or upstream to clients.", unit: "currencyUSD", width: 24,
					queries: ask("topk(20, 3600 * "+by("candidate, cloud, region", cost)+")", "")},
			}},
			{"Days", []panel{
				{kind: graph, title: "Day by day", about: "The last 24 hours at each moment, and a usual day.", unit: "currencyUSD", width: 12,
					queries: ask("ociproxy:cost_dollars:day", "24 hours", "ociproxy:cost_dollars:usual_day", "a usual day")},
				{kind: graph, title: "The month and its budget", about: "The budget is a recording rule of yours: see budget.yaml.", unit: "currencyUSD", width: 12,
					queries: ask("ociproxy:cost_dollars:month_forecast", "forecast", "ociproxy:budget_dollars:month", "budget")},
			}},
		},
	}
}
