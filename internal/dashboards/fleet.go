package dashboards

func fleet() dashboard {
	const mirror, verify, probe = "ociproxy_mirror_", "ociproxy_promote_verify_", "ociproxy_probe_"
	// since is the time since then. The metric is 0 while there was none: that is no data, not 50 years.
	since := func(metric string) string { return "time() - (" + metric + " > 0)" }
	return dashboard{
		uid: "oci-proxy-fleet", title: "oci-proxy: mirrors, promoters, probes",
		about: "Whether the stores are filled, production is what was promoted, and the registry works from outside.",
		rows: []row{
			{"Mirrors", []panel{
				{kind: graph, title: "Lag", about: "Age of the newest image that is not complete in the store; 0 when all are.", unit: "s", queries: ask("max by (store) ("+mirror+"lag_seconds)", "{{store}}")},
				{kind: graph, title: "Incomplete images", about: "At the end of the last pass.", unit: "short", queries: ask("max by (store) ("+mirror+"incomplete_images)", "{{store}}")},
				{kind: graph, title: "Since the last good pass", about: "A pass is good if it left nothing to do. No data until the first.", unit: "s", queries: ask("min("+since(mirror+"success_timestamp_seconds")+")", "a good pass")},
				{kind: graph, title: "Blobs", about: "Brought to stores, by how. present were there already.", unit: "cps", queries: ask("sum by (store, how) (rate("+mirror+"blobs_total[$__rate_interval]))", "{{store}} {{how}}")},
				{kind: graph, title: "Bytes", about: "Uploaded and copied.", unit: "Bps", queries: ask("sum by (store, how) (rate("+mirror+"bytes_total[$__rate_interval]))", "{{store}} {{how}}")},
				{kind: graph, title: "What went wrong", about: "By class. Passes repeat what failed.", unit: "cps", queries: ask("sum by (class) (rate("+mirror+"errors_total[$__rate_interval]))", "{{class}}")},
				{kind: graph, title: "Passes", about: "By result.", unit: "cps", queries: ask("sum by (result) (rate("+mirror+"passes_total[$__rate_interval]))", "{{result}}")},
				{kind: graph, title: "Length of passes", about: "Of the last one.", unit: "s", queries: ask("max("+mirror+"pass_duration_seconds)", "a pass")},
				{kind: graph, title: "Stores left alone", about: "1 for a store that cannot be written.", unit: "short", queries: ask("max by (store) ("+mirror+"store_fault)", "{{store}}")},
			}},
			{"Promoters", []panel{
				{kind: graph, title: "Findings", about: "What the last look at production found, by class. None is good.", unit: "short", queries: ask("max by (class) ("+verify+"findings)", "{{class}}")},
				{kind: graph, title: "Looks", about: "By result.", unit: "cps", queries: ask("sum by (result) (rate("+verify+"looks_total[$__rate_interval]))", "{{result}}")},
				{kind: graph, title: "Since the last look", about: "That could say something. No data until the first.", unit: "s", queries: ask("min("+since(verify+"look_timestamp_seconds")+")", "a look")},
			}},
			{"Probes", []panel{
				{kind: graph, title: "Errors", about: "Part of the answers that were wrong in five minutes, by name and vantage.", unit: "percentunit",
					queries: ask("ociprobe:pull_errors:ratio_rate5m", "{{name}} from {{vantage}}")},
				{kind: graph, title: "Findings", about: "Answers of the last run by result.", unit: "short", stack: true,
					queries: ask("sum by (name, vantage, result) ("+probe+"findings)", "{{name}} from {{vantage}}: {{result}}")},
				{kind: graph, title: "Since the last good run", about: "Without an error. No data until the first.", unit: "s", queries: ask(since(probe+"success_timestamp_seconds"), "{{name}} from {{vantage}}")},
				{kind: graph, title: "Time to a redirect", about: "How long the registry takes to say where a blob is; nine of ten are faster.", unit: "s",
					queries: ask("histogram_quantile(0.9, sum by (le, name, vantage) (rate("+probe+"redirect_seconds_bucket[$__rate_interval])))", "{{name}} from {{vantage}}")},
				{kind: graph, title: "Time to the first byte", about: "Of the answers of registries and stores: the median of the last run.", unit: "s",
					queries: ask("max by (host) ("+probe+"first_byte_seconds)", "{{host}}")},
				{kind: graph, title: "Bytes of the probes", about: "In 24 hours, and how many they may read.", unit: "bytes",
					queries: ask("sum by (vantage) ("+probe+"day_bytes)", "from {{vantage}}", "sum by (vantage) ("+probe+"day_bytes_max)", "most from {{vantage}}")},
			}},
		},
	}
}
