package dashboards

// ask makes queries of pairs of an expression and a name.
func ask(pairs ...string) []query {
	var out []query
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, query{pairs[i], pairs[i+1]})
	}
	return out
}

// burns are how fast the errors allowed for 30 days are spent: 1 spends them in exactly 30 days. docs/objectives.md has the
// numbers.
func burns() []query {
	return ask(
		"max by (name) (ociprobe:pull_errors:ratio_rate1h) / 0.001", "pulls of {{name}}, by probes",
		"ociproxy:pull_errors:ratio_rate1h / 0.01", "pulls, by traffic",
		"ociproxy:slow_decisions:ratio_rate1h / 0.01", "decisions",
		"max(ociproxy:old_inventory:ratio_rate1h) / 0.01", "inventories",
		"max(ocimirror:late_image:ratio_rate1h) / 0.01", "mirror",
	)
}

func overview() dashboard {
	return dashboard{
		uid: "oci-proxy-overview", title: "oci-proxy: overview",
		about: "Are clients served, from where, and how fast. docs/dashboards.md explains it.",
		rows: []row{
			{"Now", []panel{
				{kind: number, title: "Ready instances", about: "Instances that want traffic.", unit: "short", width: 4, queries: ask("sum(ociproxy_ready)", ""), low: true, red: 1},
				{kind: number, title: "Out of service", about: "Stores and upstreams that some instance does not use. 0 is good.", unit: "short", width: 4,
					queries: ask("count(min by (candidate) (ociproxy_candidate_usable) == 0) or vector(0)", ""), red: 1},
				{kind: number, title: "Pulls, by probes", about: "Part of the probes' answers that were right in the last hour, of the worst name.", unit: "percentunit", width: 4,
					queries: ask("1 - max(ociprobe:pull_errors:ratio_rate1h)", ""), low: true, red: 0.99, amber: 0.999},
				{kind: number, title: "Pulls, by traffic", about: "Part of the clients' pulls in the last hour that got no 5xx and were not asked for again.", unit: "percentunit", width: 4,
					queries: ask("1 - ociproxy:pull_errors:ratio_rate1h", ""), low: true, red: 0.95, amber: 0.99},
				{kind: number, title: "Requests", about: "Answered a second, by all instances.", unit: "reqps", width: 4, queries: ask("sum(rate(ociproxy_requests_total[$__rate_interval]))", "")},
				{kind: number, title: "Cost", about: "Dollars an hour at present: an estimate of egress.", unit: "currencyUSD", width: 4, queries: ask("3600 * ociproxy:cost_dollars:rate5m", "")},
			}},
			{"Objectives", []panel{
				{kind: graph, title: "Burn rates", unit: "short", width: 16, queries: burns(),
					about: "How fast each objective spends its errors, over an hour. 1 spends those of 30 days in 30 days; alerts page from 14.4 on."},
				{kind: graph, title: "Firing alerts", unit: "short", stack: true, about: "By severity. Pages are for now, tickets for working hours.",
					queries: ask(`count by (severity) (ALERTS{alertstate="firing", alertname=~"OCI(Proxy|Probe|Mirror).*"}) or label_replace(vector(0), "severity", "none", "", "")`, "{{severity}}")},
			}},
			{"Requests", []panel{
				{kind: graph, title: "Requests by kind", about: "Blobs are layers and configs. A tag or a manifest comes before them.", unit: "reqps", stack: true,
					queries: ask("sum by (kind) (rate(ociproxy_requests_total[$__rate_interval]))", "{{kind}}")},
				{kind: graph, title: "Answers by status", about: "307 is a redirect. 5xx should be none.", unit: "reqps", stack: true,
					queries: ask("sum by (code) (rate(ociproxy_requests_total[$__rate_interval]))", "{{code}}")},
				{kind: graph, title: "Time to decide", about: "From the request to the answer, existence checks included.", unit: "s",
					queries: ask("histogram_quantile(0.5, sum by (le) (rate(ociproxy_decision_seconds_bucket[$__rate_interval])))", "half",
						"histogram_quantile(0.99, sum by (le) (rate(ociproxy_decision_seconds_bucket[$__rate_interval])))", "99 %")},
				{kind: graph, title: "Redirects by candidate", about: "Where clients are sent.", unit: "reqps", stack: true,
					queries: ask("sum by (candidate) (rate(ociproxy_redirects_total[$__rate_interval]))", "{{candidate}}")},
				{kind: graph, title: "Redirects by reason", about: "nearest is the rule; the others are detours.", unit: "reqps", stack: true,
					queries: ask("sum by (reason) (rate(ociproxy_redirects_total[$__rate_interval]))", "{{reason}}")},
				{kind: graph, title: "Asked for again", about: "Downloads that clients began again: their first download failed.", unit: "reqps",
					queries: ask("sum by (candidate) (rate(ociproxy_retries_total[$__rate_interval]))", "{{candidate}}")},
			}},
			{"Stores and upstreams", []panel{
				{kind: graph, title: "In service", about: "1 while all instances use it, 0 while one of them does not.", unit: "short",
					queries: ask("min by (candidate) (ociproxy_candidate_usable)", "{{candidate}}")},
				{kind: graph, title: "Health probes", about: "Probes of candidates by result.", unit: "reqps",
					queries: ask("sum by (candidate, result) (rate(ociproxy_health_probes_total[$__rate_interval]))", "{{candidate}} {{result}}")},
				{kind: graph, title: "Health is frozen", about: "Instances that eject nobody, because more than half of the candidates fail together.", unit: "short",
					queries: ask("sum(ociproxy_health_frozen)", "instances")},
				{kind: graph, title: "Age of inventories", about: "The oldest that an instance knows.", unit: "s", queries: ask("max by (candidate) (ociproxy_inventory_age_seconds)", "{{candidate}}")},
				{kind: graph, title: "Digests held", about: "A store that holds fewer than the others lags behind.", unit: "short",
					queries: ask("min by (candidate) (ociproxy_inventory_held_digests)", "{{candidate}}")},
				{kind: graph, title: "Inventories fail", about: "Instances whose last refresh failed.", unit: "short",
					queries: ask("sum by (candidate) (ociproxy_inventory_failing)", "{{candidate}}")},
			}},
			{"Instances", []panel{
				{kind: graph, title: "Age of feeds", about: "The oldest that an instance knows.", unit: "s", width: 6, queries: ask("max by (feed) (ociproxy_feed_age_seconds)", "{{feed}}")},
				{kind: graph, title: "Connections", about: "Open, and how many may be open.", unit: "short", width: 6,
					queries: ask("sum(ociproxy_connections)", "open", "sum(ociproxy_connections_max)", "most")},
				{kind: list, title: "Configs", about: "Instances by the hash of their config. All should have the same.", unit: "none", width: 6,
					queries: ask("count by (hash) (ociproxy_config_info)", "")},
				{kind: list, title: "Versions", about: "Instances by version. All should have the same.", unit: "none", width: 6,
					queries: ask("count by (version) (ociproxy_build_info)", "")},
			}},
		},
	}
}
