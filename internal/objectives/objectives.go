package objectives

import "fmt"

// The objectives. Each number is the part of the whole that may be bad in 30 days.
const (
	probeBudget     = 0.001 // of the pulls that probes make
	trafficBudget   = 0.01  // of the pulls of clients: some of what looks like a repeat is none
	latencyBudget   = 0.01  // of the decisions, that may take longer than decisionBound
	inventoryBudget = 0.01  // of the time, in which a store's inventory may be older than inventoryBound
	mirrorBudget    = 0.01  // of the time, in which a new image may be missing in a store for longer than mirrorBound

	decisionBound  = "0.3"      // s; a bucket of the histogram
	inventoryBound = "6 * 3600" // s; a quarter of the default of inventory.staleAfter
	clockBound     = "300"      // s; an inventory that is this far in the future was written by a wrong clock, and is no fresh one
	mirrorBound    = "3600"     // s
)

// The samples that a verdict needs.
const (
	probeSamples   = 20  // answers in the long window
	trafficSamples = 200 // pulls in the short window
	timedSamples   = 50  // timed decisions in the short window
	gaugeSamples   = 12  // times 5 minutes in the long window, of what is good or bad at a time
)

// pulls selects what a pull is made of.
const pulls = `kind=~"blob|manifest|tag"`

func availability() file {
	f := file{
		name: "objectives", group: "oci-proxy objectives",
		about: `Objectives of oci-proxy, with alerts that fire when the errors of 30 days are spent too fast. For Prometheus 2.40 or later.

  pulls, by probes    99.9 % of the answers that the probes' own pulls get are right
  pulls, by traffic   99 % of the clients' pulls neither get a 5xx nor are asked for again
  decisions           99 % take less than 0.3 s
  inventories         99 % of the time a store's inventory is younger than 6 hours
  mirror              99 % of the time a store lacks no image for longer than an hour

docs/objectives.md says what each alert costs to ignore.`,
	}
	record := func(series, good string, of func(window string) string) {
		for _, w := range windows {
			f.rules = append(f.rules, rule{record: series + ":" + good + w, expr: of(w)})
		}
	}
	// Decisions and paths have other labels, so "or" is their union.
	probe := func(self, paths string) func(string) string {
		return func(w string) string {
			return fmt.Sprintf("sum by (name, vantage) (\nincrease(%s{%s}[%s])\nor increase(%s%s[%[3]s])\n)", probeDecisions, self, w, probePaths, paths)
		}
	}
	record("ociprobe:pull_samples", "increase", probe(`as="self"`, ""))
	record("ociprobe:pull_errors", "ratio_rate", func(w string) string {
		return fmt.Sprintf("%s\n/ (ociprobe:pull_samples:increase%s > 0)", probe(`as="self", result="error"`, `{result="error"}`)(w), w)
	})
	record("ociproxy:pull_samples", "increase", func(w string) string { return fmt.Sprintf("sum(increase(%s{%s}[%s]))", requests, pulls, w) })
	record("ociproxy:pull_errors", "ratio_rate", func(w string) string {
		return fmt.Sprintf("(\n(sum(increase(%s{%s, code=~\"5..\"}[%s])) or vector(0))\n+ (sum(increase(%s[%[3]s])) or vector(0))\n)\n/ (ociproxy:pull_samples:increase%[3]s > 0)",
			requests, pulls, w, retries)
	})
	record("ociproxy:timed_decisions", "increase", func(w string) string { return fmt.Sprintf("sum(increase(%s_count[%s]))", decisions, w) })
	record("ociproxy:slow_decisions", "ratio_rate", func(w string) string {
		return fmt.Sprintf("1 - sum(increase(%s_bucket{le=\"%s\"}[%s])) / (ociproxy:timed_decisions:increase%[3]s > 0)", decisions, decisionBound, w)
	})
	// A gauge of good or bad, and the part of a window in which it was bad.
	f.rules = append(f.rules,
		rule{record: "ociproxy:old_inventory:bool", why: "Good if any instance knows it to be good.",
			expr: fmt.Sprintf("min by (candidate) ((%[1]s > bool %[2]s) + (%[1]s < bool -%[3]s))", inventoryAge, inventoryBound, clockBound)},
		rule{record: "ocimirror:late_image:bool", expr: fmt.Sprintf("max by (store) (%s) > bool %s", mirrorLag, mirrorBound)},
	)
	for _, series := range []string{"ociproxy:old_inventory", "ocimirror:late_image"} {
		record(series, "ratio_rate", func(w string) string { return fmt.Sprintf("avg_over_time(%s:bool[%s])", series, w) })
	}
	f.rules = append(f.rules, alerts()...)
	return f
}

func alerts() []rule {
	failing := func(w window) string {
		return burns("ociprobe:pull_errors", probeBudget, w) + fmt.Sprintf("\nand ociprobe:pull_samples:increase%s >= %d", w.long, probeSamples)
	}
	traffic := func(w window) string {
		return burns("ociproxy:pull_errors", trafficBudget, w) + fmt.Sprintf("\nand ociproxy:pull_samples:increase%s >= %d", w.short, trafficSamples)
	}
	known := func(series string, w window) string {
		return fmt.Sprintf("\nand count_over_time(%s:bool[%s:5m]) >= %d", series, w.long, gaugeSamples)
	}
	ping := probeSuccess + `{check="ping", as="self"}`
	return []rule{
		{
			alert: "OCIProbePullsFail", severity: Page, hold: "2m", runbook: "pulls-fail",
			why: "At two vantages, or at the only one: the network of one probe is no outage. A run that finds a dead name gives one answer\n" +
				"and not some dozens, so a ratio of answers would need half an hour to see it.",
			expr: fmt.Sprintf("count by (name) (\n%s\n)\n>= clamp_max(count by (name) (ociprobe:pull_samples:increase1h >= %d), 2)\n"+
				"or\ncount by (name) (max by (name, vantage) (max_over_time(%[3]s[3m])) == 0)\n"+
				">= clamp_max(count by (name) (count by (name, vantage) (%[3]s)), 2)", failing(fast), probeSamples, ping),
			summary: "pulls of {{ $labels.name }} fail; vantages that see it: {{ $value }}",
		},
		{
			alert: "OCIProbePullsFailSlowly", severity: Ticket, hold: "15m", runbook: "pulls-fail-slowly", expr: failing(slow),
			summary: "{{ $value | humanizePercentage }} of the pulls of {{ $labels.name }} failed in six hours, seen from {{ $labels.vantage }}",
		},
		{
			alert: "OCIProxyPullsFail", severity: Page, hold: "2m", runbook: "pulls-fail", expr: traffic(fast),
			summary: "{{ $value | humanizePercentage }} of the clients' pulls failed in an hour",
		},
		{
			alert: "OCIProxyPullsFailSlowly", severity: Ticket, hold: "15m", runbook: "pulls-fail-slowly", expr: traffic(slow),
			summary: "{{ $value | humanizePercentage }} of the clients' pulls failed in six hours",
		},
		{
			alert: "OCIProxyDecisionsMissObjective", severity: Ticket, hold: "15m", runbook: "decisions-miss-their-objective",
			expr:    burns("ociproxy:slow_decisions", latencyBudget, slow) + fmt.Sprintf("\nand ociproxy:timed_decisions:increase%s >= %d", slow.short, timedSamples),
			summary: "{{ $value | humanizePercentage }} of the decisions took longer than " + decisionBound + " s in six hours",
		},
		{
			alert: "OCIProxyInventoriesMissObjective", severity: Ticket, hold: "15m", runbook: "inventories-miss-their-objective",
			expr:    burns("ociproxy:old_inventory", inventoryBudget, slow) + known("ociproxy:old_inventory", slow),
			summary: "the inventory of {{ $labels.candidate }} was old for {{ $value | humanizePercentage }} of six hours",
		},
		{
			alert: "OCIMirrorMissesObjective", severity: Ticket, hold: "15m", runbook: "the-mirror-misses-its-objective",
			expr:    burns("ocimirror:late_image", mirrorBudget, slow) + known("ocimirror:late_image", slow),
			summary: "{{ $labels.store }} lacked an image for longer than an hour, for {{ $value | humanizePercentage }} of six hours",
		},
	}
}
